# wsmaster behind Varnish 6.0 or newer. A whole file: /etc/varnish/default.vcl.
#
# Varnish speaks no TLS: what ends it in front (Hitch, HAProxy) sends the PROXY protocol to a listener named "https".
# pipe_timeout is how long a WebSocket may be silent in both directions; it has to be longer than ping_interval.
#
#   varnishd -f /etc/varnish/default.vcl -a http=:80 -a https=127.0.0.1:8443,PROXY -p pipe_timeout=3600
vcl 4.1;

backend wsmaster {
    .host = "127.0.0.1";
    .port = "9501";
    .probe = {
        .url = "/health/live";
        .interval = 2s;
        .initial = 8;
    }
}

sub vcl_recv {
    # These replace what the client may have sent.
    set req.http.X-Forwarded-For = client.ip;
    if (local.socket == "https") {
        set req.http.X-Forwarded-Proto = "https";
    } else {
        set req.http.X-Forwarded-Proto = "http";
    }
    unset req.http.X-Real-IP;
    unset req.http.Forwarded;

    if (req.http.Upgrade ~ "(?i)^websocket$") {
        return (pipe);
    }
    return (pass);
}

sub vcl_pipe {
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = "Upgrade";
}
