//! The applications that come with the server, and the way of each connection to its own.
//!
//! They are a [`Handler`] as one of yours. What they use that the public interface does not have: the list of side processes
//! with their instances ([`crate::side`]), and what each listener serves ([`WorkerInfo`]).

mod api;
mod channels;
mod event_fanout;
mod program_app;
mod program_requests;
mod routes;
mod web;

use rustc_hash::FxHashMap;
use wsmaster_protocol::{
    http::{RequestHead, Response, decode_path},
    plugin::EventKind,
};
use wsmaster_workers::{
    Closed, Context, Handler, HttpHead, HttpRequest, Message, Responder, TimerId, Verdict,
    ipc::{ConnectionId, command::Group},
};

use self::{
    channels::Channels,
    event_fanout::EventFanout,
    program_app::ProgramApp,
    program_requests::ProgramRequests,
    routes::Routes,
    web::{Place, Web},
};
use crate::{config::App, side::Instances, worker_info::WorkerInfo};

/// The applications of a server, with the pages and the HTTP API that it has whatever they are.
#[derive(Debug)]
pub struct BuiltIn {
    routes: Routes,
    /// In the places that the routes lead to.
    apps: Vec<Application>,
    /// The groups of their connections, in the same places.
    groups: Vec<Group>,
    /// The application of each connection, if not the first.
    owners: FxHashMap<ConnectionId, usize>,
    web: Web,
    fanout: EventFanout,
    /// The side process that gets the requests that nothing else answers.
    request_fallback: Option<ProgramRequests>,
    /// Runs as long as something waits for a side process.
    retry: Option<TimerId>,
}

/// What answers a request.
enum RequestTarget<'a> {
    /// A side process.
    Program(&'a mut ProgramRequests),
    /// The server itself.
    Page(Page),
}

/// What the server itself says to a request for an application.
#[derive(Clone, Copy)]
enum Page {
    Playground,
    WebSocketOnly,
    Nothing,
    /// The side process is not there.
    Absent,
}

impl Page {
    fn answer(self, head: &HttpHead<'_>) -> Response {
        match self {
            Self::Playground => web::playground(head),
            Self::WebSocketOnly => web::websocket_only(head),
            Self::Nothing => web::nothing(),
            Self::Absent => program_requests::absent(),
        }
    }
}

#[derive(Debug)]
enum Application {
    Channels(Channels),
    Echo,
    Broadcast,
    Program(Box<ProgramApp>),
    /// A side process that the configuration does not have, which it is checked for.
    Absent,
}

impl BuiltIn {
    /// The applications that the configuration names.
    pub fn new(worker: &WorkerInfo) -> Self {
        let WorkerInfo { config, directory, .. } = worker;
        let routes = Routes::new(config);
        let process = |name: &str| {
            let process = config.processes.iter().find(|process| process.name == name)?;
            Some((directory.program(name)?, process))
        };
        let make = |app: &App| match app {
            App::Channels => Application::Channels(Channels::new(config)),
            App::Echo => Application::Echo,
            App::Broadcast => Application::Broadcast,
            App::Plugin(name) => match process(name) {
                Some((instances, process)) => {
                    Application::Program(Box::new(ProgramApp::new(instances, process)))
                }
                None => Application::Absent,
            },
        };
        let takes_requests = config
            .processes
            .iter()
            .find(|process| process.events.contains(&EventKind::Request))
            .and_then(|process| Some((directory.program(&process.name)?, process)));
        Self {
            apps: routes.apps().iter().map(make).collect(),
            groups: routes.apps().iter().map(|app| Group::named(&app.name())).collect(),
            routes,
            owners: FxHashMap::default(),
            web: Web::new(config),
            fanout: EventFanout::new(directory.clone()),
            request_fallback: takes_requests.map(|(instances, process)| {
                ProgramRequests::new(instances, process.answer_timeout)
            }),
            retry: None,
        }
    }

    /// The place of the application of a request for a WebSocket. A path that cannot be decoded has no route.
    fn place_of(&self, head: &RequestHead) -> usize {
        if self.routes.is_one_for_all() {
            return 0;
        }
        decode_path(head.path()).map_or(0, |path| self.routes.find(&path).app)
    }

    /// What answers a request with this path, which is none of the server's own.
    fn request_target(&mut self, path: &str) -> RequestTarget<'_> {
        let found = self.routes.find(path);
        let is_front = path == "/";
        match &mut self.apps[found.app] {
            Application::Program(program) => RequestTarget::Program(program.requests()),
            Application::Channels(_) if is_front => RequestTarget::Page(Page::Playground),
            Application::Channels(_) | Application::Echo | Application::Broadcast => {
                match &mut self.request_fallback {
                    Some(request_fallback) => RequestTarget::Program(request_fallback),
                    None if is_front || found.is_routed => RequestTarget::Page(Page::WebSocketOnly),
                    None => RequestTarget::Page(Page::Nothing),
                }
            }
            Application::Absent => RequestTarget::Page(Page::Absent),
        }
    }

    /// The application of the connection of this call.
    fn owner(&self, id: Option<ConnectionId>) -> usize {
        if self.owners.is_empty() {
            return 0;
        }
        id.and_then(|id| self.owners.get(&id)).copied().unwrap_or(0)
    }

    /// Runs a timer as long as something waits for a side process.
    fn keep_trying(&mut self, context: &mut Context<'_>) {
        let waits = self.apps.iter().any(|app| match app {
            Application::Program(program) => program.is_waiting(),
            Application::Channels(_)
            | Application::Echo
            | Application::Broadcast
            | Application::Absent => false,
        });
        match (waits, self.retry) {
            (true, None) => self.retry = context.tick(program_app::RETRY),
            (false, Some(timer)) => {
                context.clear(timer);
                self.retry = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}

fn malformed_path() -> Response {
    Response::error(400, "the path is malformed")
}

impl Application {
    fn instances(&self) -> Option<Instances> {
        match self {
            Self::Program(program) => Some(program.instances()),
            Self::Channels(_) | Self::Echo | Self::Broadcast | Self::Absent => None,
        }
    }
}

impl Handler for BuiltIn {
    fn on_start(&mut self, context: &mut Context<'_>) {
        if self.apps.iter().any(|app| app.instances().is_some()) {
            context.tick(program_app::POLL);
        }
    }

    fn on_handshake(&mut self, context: &mut Context<'_>, head: &RequestHead) -> Verdict {
        // As of any other request: a path that is passed on must not lead out of where the side process looks.
        if decode_path(head.path()).is_none() {
            return Verdict::Reject(malformed_path());
        }
        let place = self.place_of(head);
        match &mut self.apps[place] {
            Application::Channels(_) | Application::Echo | Application::Broadcast => {
                Verdict::accept()
            }
            Application::Program(program) => program.on_handshake(context, head),
            Application::Absent => Verdict::Reject(program_requests::absent()),
        }
    }

    fn on_open(&mut self, context: &mut Context<'_>) {
        let Some(connection) = context.connection() else { return };
        let id = connection.id;
        let place = connection.head.as_ref().map_or(0, |head| self.place_of(head));
        if place != 0 {
            self.owners.insert(id, place);
        }
        context.join_group(Some(self.groups[place]));
        self.fanout.on_open(context, self.apps[place].instances());
        match &mut self.apps[place] {
            Application::Channels(channels) => channels.on_open(context),
            Application::Echo | Application::Broadcast | Application::Absent => {}
            Application::Program(program) => {
                program.on_open(context);
                self.keep_trying(context);
            }
        }
    }

    #[inline]
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let place = self.owner(context.current());
        let Self { apps, groups, fanout, .. } = self;
        let app = &mut apps[place];
        fanout.on_message(context, message, app.instances());
        match app {
            Application::Channels(channels) => channels.on_message(context, message, fanout),
            // A full outbox closes the reader or drops the message, as the limits say; both are counted.
            Application::Echo => drop(context.reply(message)),
            Application::Broadcast => {
                context.broadcast_to_group(groups[place], message, None);
            }
            Application::Program(program) => {
                if program.on_message(context, message) {
                    self.keep_trying(context);
                }
            }
            Application::Absent => {}
        }
    }

    fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        let place = self.owner(Some(closed.id));
        self.owners.remove(&closed.id);
        self.fanout.on_close(context, closed, self.apps[place].instances());
        match &mut self.apps[place] {
            Application::Channels(_)
            | Application::Echo
            | Application::Broadcast
            | Application::Absent => {}
            Application::Program(program) => {
                program.on_close(context, closed);
                self.keep_trying(context);
            }
        }
    }

    fn on_request_head(
        &mut self,
        context: &mut Context<'_>,
        head: &HttpHead<'_>,
    ) -> Option<Response> {
        let Some(path) = decode_path(head.head.path()) else { return Some(malformed_path()) };
        if let Some(place) = Place::of(&path) {
            return self.web.refusal(head, &place);
        }
        match self.request_target(&path) {
            RequestTarget::Program(requests) => requests.refusal(context),
            RequestTarget::Page(page) => {
                Some(page.answer(head)).filter(|answer| answer.status() >= 400)
            }
        }
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        let Some(path) = decode_path(request.head.path()) else {
            context.respond(responder, &malformed_path());
            return;
        };
        if let Some(place) = Place::of(&path) {
            self.web.on_request(context, &request, place, responder);
            return;
        }
        match self.request_target(&path) {
            RequestTarget::Program(requests) => requests.request(context, &request, responder),
            RequestTarget::Page(page) => context.respond(responder, &page.answer(&request.facts())),
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_>, timer: TimerId) {
        for app in &mut self.apps {
            match app {
                Application::Program(program) => {
                    if self.retry != Some(timer) {
                        program.poll_instances(context);
                    }
                    program.deliver_all(context);
                }
                Application::Channels(_)
                | Application::Echo
                | Application::Broadcast
                | Application::Absent => {}
            }
        }
        self.keep_trying(context);
    }
}
