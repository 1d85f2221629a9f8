# What the websocket package of Tcllib sees of the server. Usage: libraries.tcl SCENARIO, with the environment of the
# tests. It prints what the library has found; libraries.json says what that is to be.

package require Tcl 8.6
package require websocket

set scenario [lindex $argv 0]
set library $env(TEST_LIBRARY)
set url ws://$env(TEST_ADDRESS)/
set large [string repeat "what was said before, " 3200]
set messages [list [list text "Gr\u00fc\u00dfe, \u4e16\u754c"] [list binary "\x00\xff\x80"] [list text $large] \
    [list text "the end"]]
set at 0
set problem error
set said {}

proc finish {found} {
    fconfigure stdout -encoding utf-8
    puts "found {\"$::library\":$found}\ndone $::scenario"
    flush stdout
    exit 0
}

proc next {socket} {
    lassign [lindex $::messages $::at] kind data
    ::websocket::send $socket $kind $data
}

proc happened {socket type message} {
    switch -- $::scenario/$type {
        echo/connect {next $socket}
        echo/text - echo/binary {
            if {$message ne [lindex $::messages $::at 1]} {finish "\"message $::at differs\""}
            if {[incr ::at] == [llength $::messages]} {finish {"ok"}}
            next $socket
        }
        silent/connect {after 4500 [list ::websocket::send $socket text "still here"]}
        silent/text {finish {"stays"}}
        end/connect {exec sh -c "$::env(TEST_ACTION) >/dev/null 2>&1 &"}
        refused/connect {::websocket::open $::url second}
    }
    switch -- $type {
        close {set ::said $message}
        disconnect {
            if {$::scenario eq "end"} {
                lassign $::said code reason
                if {$code eq ""} {set code null}
                finish "\[$code,\"[lindex [split $reason {;}] 0]\"\]"
            }
            if {$::scenario eq "silent"} {finish {"closed"}}
            finish "\"ended at message $::at\""
        }
    }
}

proc second {socket type message} {
    switch -- $type {
        connect {finish {"let in"}}
        error - disconnect - timeout {finish [expr {[string match *503* $message] ? {"503"} : {"error"}}]}
    }
}

after 20000 {finish {"nothing happened"}}
::websocket::open $url happened
vwait forever
