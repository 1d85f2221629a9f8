//! The applications that come with the server. They use the library's public interface and nothing else.

mod api;
mod channels;
mod plugins;
mod web;

use wsmaster_workers::{Closed, Context, Handler, HttpRequest, Message, Responder};

use self::{channels::Channels, plugins::Plugins, web::Web};
use crate::{config, server::WorkerInfo};

/// One of the built-in applications, with the pages and the HTTP API that all of them have.
#[derive(Debug)]
pub struct BuiltIn {
    kind: Kind,
    web: Web,
    plugins: Plugins,
}

#[derive(Debug)]
enum Kind {
    Channels(Channels),
    Echo,
    Broadcast,
}

impl BuiltIn {
    /// The application that the configuration names.
    pub fn new(worker: &WorkerInfo) -> Self {
        let kind = match worker.config.server.app {
            config::App::Channels => Kind::Channels(Channels::new(&worker.config)),
            config::App::Echo => Kind::Echo,
            config::App::Broadcast => Kind::Broadcast,
        };
        let plugins = Plugins::new(worker.directory.clone());
        Self { kind, web: Web::new(&worker.config), plugins }
    }
}

impl Handler for BuiltIn {
    fn on_open(&mut self, context: &mut Context<'_>) {
        self.plugins.on_open(context);
        match &mut self.kind {
            Kind::Channels(channels) => channels.on_open(context),
            Kind::Echo | Kind::Broadcast => {}
        }
    }

    #[inline]
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        self.plugins.on_message(context, message);
        match &mut self.kind {
            Kind::Channels(channels) => channels.on_message(context, message),
            // A full outbox closes the reader or drops the message, as the limits say; both are counted.
            Kind::Echo => drop(context.reply(message)),
            Kind::Broadcast => drop(context.broadcast(message, None)),
        }
    }

    fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        self.plugins.on_close(context, closed);
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        self.web.on_request(context, &request, responder);
    }
}
