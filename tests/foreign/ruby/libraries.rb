# What faye-websocket for Ruby sees of the server. Usage: libraries.rb SCENARIO, with the environment of the tests.
# It prints what the library has found; libraries.json says what that is to be.

require 'faye/websocket'
require 'eventmachine'
require 'json'

SCENARIO = ARGV.fetch(0)
LIBRARY = ENV.fetch('TEST_LIBRARY')
URL = "ws://#{ENV.fetch('TEST_ADDRESS')}/"
TEXT, LARGE = 'Grüße, 世界 🎈', 'what was said before, ' * 3200
MESSAGES = [TEXT, [0, 255, 128], '', LARGE, TEXT, 'the end'].freeze

def finish(found)
  puts "found #{JSON.generate(LIBRARY => found)}", "done #{SCENARIO}"
  $stdout.flush
  exit!(0)
end

EM.run do
  EM.add_timer(20) { finish('nothing happened') }
  socket = Faye::WebSocket::Client.new(URL)
  case SCENARIO
  when 'echo'
    at = 0
    socket.on(:open) { socket.send(MESSAGES[at]) }
    socket.on(:message) do |event|
      finish("message #{at} differs") if event.data != MESSAGES[at]
      at += 1
      finish('ok') if at == MESSAGES.size
      socket.send(MESSAGES[at])
    end
    socket.on(:close) { |event| finish("ended at message #{at} with #{event.code}") }
  when 'silent'
    socket.on(:open) { EM.add_timer(4.5) { socket.send('still here') } }
    socket.on(:message) { finish('stays') }
    socket.on(:close) { finish('closed') }
  when 'end'
    socket.on(:open) { spawn(ENV.fetch('TEST_ACTION'), out: '/dev/null', err: '/dev/null') }
    socket.on(:close) { |event| finish([event.code, event.reason.to_s.split(';').first.to_s]) }
  when 'refused'
    socket.on(:open) do
      second = Faye::WebSocket::Client.new(URL)
      problem = 'error'
      second.on(:error) { |event| problem = '503' if event.message.include?('503') }
      second.on(:open) { finish('let in') }
      second.on(:close) { finish(problem) }
    end
  end
end
