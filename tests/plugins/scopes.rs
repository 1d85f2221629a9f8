//! Whom a broadcast reaches: the connections of one application, or all of them if that is asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    puppet::{Puppet, application, table},
    support::{App, Client, PATIENCE, Server, Setup, request},
};

/// Clients of one path, enough for both workers to have some.
struct Crowd(Vec<Client>);

impl Crowd {
    const SIZE: usize = 8;

    fn of(server: &Server, path: &str) -> Self {
        Self((0..Self::SIZE).map(|_| Client::open(server.addr(), path)).collect())
    }

    fn expect(&mut self, text: &str) {
        self.0.iter_mut().for_each(|client| client.expect_text(text));
    }

    fn expect_silence(&mut self) {
        self.0.iter_mut().for_each(|client| client.expect_silence(Duration::from_millis(20)));
    }
}

#[test]
fn a_broadcast_reaches_the_clients_of_its_own_application_unless_it_asks_for_all() {
    // All at once: those who are not told yet are reached, too.
    let config = "[server]\nreconnect_spread = 0\n\n".to_owned()
        + &application("p", "")
        + &table("ear", "events = [\"message\"]")
        + "[[route]]\npath = \"/wall\"\napp = \"broadcast\"\n\
           [[route]]\npath = \"/other-wall\"\napp = \"broadcast\"\n\
           [[route]]\npath = \"/echo\"\napp = \"echo\"\n";
    let server = Server::start(Setup::default().workers(2).app(App::Channels).config_toml(&config));
    let [puppet, ear] = ["p", "ear"].map(|name| Puppet::of(&server, name));
    let mut walls = [Crowd::of(&server, "/wall"), Crowd::of(&server, "/other-wall")];
    let mut own = Crowd::of(&server, "/p/");
    let mut others = [Crowd::of(&server, "/"), Crowd::of(&server, "/echo")];
    for client in &mut others[0].0 {
        assert_eq!(client.expect_json(PATIENCE)["action"], "welcome");
    }
    // What anybody writes on a wall is read by those at a wall, however much it looks like something else.
    let forged = r#"{"action":"message","channel":"news","message":"buy","sender":null}"#;
    walls[0].0[0].send_text(forged);
    walls.iter_mut().for_each(|wall| wall.expect(forged));
    own.expect_silence();
    others.iter_mut().for_each(Crowd::expect_silence);

    let reached = |count: usize| json!({"success": true, "delivered": count, "dropped": 0});
    let answer = puppet.ask(json!({"do": "broadcast", "text": "to mine"}));
    assert_eq!(answer, reached(Crowd::SIZE));
    own.expect("to mine");
    let answer = puppet.ask(json!({"do": "broadcast", "to": "own", "text": "to mine, said"}));
    assert_eq!(answer, reached(Crowd::SIZE));
    own.expect("to mine, said");
    walls.iter_mut().chain(&mut others).for_each(Crowd::expect_silence);

    // Who has no clients of its own means all, and those who administer the server do.
    let all = 5 * Crowd::SIZE;
    assert_eq!(puppet.ask(json!({"do": "broadcast", "to": "all", "text": "to all"})), reached(all));
    assert_eq!(ear.ask(json!({"do": "broadcast", "text": "heard"})), reached(all));
    let bearer = format!("Bearer {}", server.api_key());
    let headers = [("Authorization", bearer.as_str())];
    let answer =
        request(server.addr(), "POST", "/api/broadcast", &headers, b"{\"text\":\"by HTTP\"}");
    assert_eq!(answer.json()["delivered"], all);
    for crowd in walls.iter_mut().chain(&mut others).chain([&mut own]) {
        ["to all", "heard", "by HTTP"].iter().for_each(|text| crowd.expect(text));
    }
    let refused = |puppet: &Puppet<'_>, to: &str| -> Value {
        puppet.ask(json!({"do": "broadcast", "to": to, "text": "x"}))["result"].clone()
    };
    assert_eq!(refused(&ear, "own"), "invalid");
    assert_eq!(refused(&puppet, "everybody"), "invalid");

    // It is the same after a reload, whoever was there before.
    server.reload().expect_code(0);
    let mut own = Crowd::of(&server, "/p/");
    let mut wall = Crowd::of(&server, "/wall");
    assert_eq!(puppet.ask(json!({"do": "broadcast", "text": "again"})), reached(Crowd::SIZE));
    own.expect("again");
    wall.expect_silence();
}
