# What the libraries of Perl see of the server. Usage: libraries.pl SCENARIO, with the environment of the tests. It
# prints what the library has found; libraries.json says what that is to be.
use strict;
use warnings;
use utf8;
use JSON::PP;

my ($scenario, $library) = ($ARGV[0], $ENV{TEST_LIBRARY});
my $url = "ws://$ENV{TEST_ADDRESS}/";
my ($text, $large) = ('Grüße, 世界 🎈', 'what was said before, ' x 2900);
# Text and bytes, in pairs.
my @messages = ([text => $text], [binary => "\0\xff\x80"], [text => ''], [text => $large], [text => $text], [text => 'the end']);

sub finish {
    my ($found) = @_;
    binmode STDOUT;
    print 'found ', JSON::PP->new->utf8->encode({ $library => $found }), "\ndone $scenario\n";
    STDOUT->flush;
    exit 0;
}

sub code_and_reason {
    my ($code, $reason) = @_;
    my ($words) = split /;/, $reason // '';
    return [defined $code && length $code ? $code + 0 : undef, $words // ''];
}

# What ends the connections.
sub act { system("$ENV{TEST_ACTION} >/dev/null 2>&1 &") }

my %scenarios = (
    Mojolicious => sub {
        require Mojo::UserAgent;
        require Mojo::IOLoop;
        my $agent = Mojo::UserAgent->new(max_redirects => 0);
        $agent->transactor->name('test');
        my $held;
        my $connect = sub {
            my ($done) = @_;
            my $tx = $agent->build_websocket_tx($url);
            $tx->req->headers->header('Sec-WebSocket-Extensions' => 'permessage-deflate');
            $agent->start($tx => sub { my ($agent, $tx) = @_; $done->($held = $tx) });
        };
        my $begin = sub {
            my ($tx) = @_;
            finish($tx->res->code // 'error') unless $tx->is_websocket;
            my $at = 0;
            my $send = sub {
                my ($kind, $data) = @{ $messages[$at] };
                $tx->send({ $kind => $kind eq 'text' ? do { my $copy = $data; utf8::encode($copy); $copy } : $data });
            };
            if ($scenario eq 'echo') {
                $tx->on(message => sub {
                    my ($tx, $came) = @_;
                    finish("message $at differs") if $came ne $messages[$at][1];
                    return finish('ok') if ++$at == @messages;
                    $send->();
                });
                $tx->on(finish => sub { finish("ended at message $at with $_[1]") });
                $send->();
            } elsif ($scenario eq 'silent') {
                $tx->on(message => sub { finish('stays') });
                $tx->on(finish => sub { finish('closed') });
                Mojo::IOLoop->timer(4.5 => sub { $tx->send('still here') });
            } elsif ($scenario eq 'end') {
                $tx->on(finish => sub { finish(code_and_reason(@_[1, 2])) });
                act();
            } elsif ($scenario eq 'refused') {
                my $first = $tx;
                $connect->(sub { my $code = $_[0]->res->code; finish($_[0]->is_websocket ? 'let in' : "$code") });
            }
        };
        $connect->($begin);
        Mojo::IOLoop->timer(20 => sub { finish('nothing happened') });
        Mojo::IOLoop->start;
    },
    'AnyEvent::WebSocket::Client' => sub {
        require AnyEvent;
        require AnyEvent::WebSocket::Client;
        require AnyEvent::WebSocket::Message;
        my $client = AnyEvent::WebSocket::Client->new;
        my $over = AnyEvent->condvar;
        my $connection = eval { $client->connect($url)->recv } or finish('error');
        my $timer;
        my $closed = sub {
            my ($connection) = @_;
            $over->send($connection->close_code, $connection->close_reason);
        };
        if ($scenario eq 'echo') {
            my $at = 0;
            my $send = sub {
                my ($kind, $data) = @{ $messages[$at] };
                return $connection->send($data) if $kind eq 'text';
                $connection->send(AnyEvent::WebSocket::Message->new(body => $data, opcode => 2));
            };
            $connection->on(each_message => sub {
                my ($connection, $message) = @_;
                my $came = $message->is_text ? $message->decoded_body : $message->body;
                return $over->send("message $at differs") if $came ne $messages[$at][1];
                return $over->send('ok') if ++$at == @messages;
                $send->();
            });
            $connection->on(finish => sub { $over->send("ended at message $at") });
            $send->();
            finish($over->recv);
        } elsif ($scenario eq 'silent') {
            $connection->on(each_message => sub { $over->send('stays') });
            $connection->on(finish => sub { $over->send('closed') });
            $timer = AnyEvent->timer(after => 4.5, cb => sub { $connection->send('still here') });
            finish($over->recv);
        } elsif ($scenario eq 'end') {
            $connection->on(finish => $closed);
            act();
            finish(code_and_reason($over->recv));
        } elsif ($scenario eq 'refused') {
            my $second = eval { $client->connect($url)->recv };
            finish($second ? 'let in' : $@ =~ /503/ ? '503' : 'error');
        }
    },
);
$SIG{ALRM} = sub { finish('nothing happened') };
alarm 25;
$scenarios{$library}->();
