// A server of the package that is named: it prints its port, and tells each WebSocket the path that its application sees.
const http = require('http');
const [name] = process.argv.slice(2);
const server = http.createServer((request, response) => response.writeHead(404).end());
const start = {
  ws() {
    const { WebSocketServer } = require('ws');
    new WebSocketServer({ server }).on('connection', (socket, request) => socket.send(request.url));
  },
  'faye-websocket'() {
    const Faye = require('faye-websocket');
    server.on('upgrade', (request, stream, head) => {
      if (!Faye.isWebSocket(request)) return stream.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      new Faye(request, stream, head).send(request.url);
    });
  },
  websocket() {
    const { server: WebSocket } = require('websocket');
    new WebSocket({ httpServer: server }).on('request', (request) => request.accept(null, request.origin).send(request.resource));
  },
};
start[name]();
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
