//! Who of the side processes is called what, has which mailbox, and wants to be told of what. Pure.

use wsmaster_ipc::{Address, ConnectionId, Slot, TaskQueues};
use wsmaster_protocol::plugin::{EventKind, Recipient};

use crate::config::ProcessConfig;

/// All side processes of a server, in the order of their mailboxes.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    workers: u16,
    sides: Vec<Side>,
    listeners: Vec<Listener>,
    tasks: TaskQueues,
}

/// One running instance of a side process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Side {
    /// The name of the process.
    pub(crate) name: String,
    /// Which of its instances this one is.
    pub(crate) instance: u16,
    /// How many it has.
    pub(crate) instances: u16,
    /// Its mailbox.
    pub(crate) address: Address,
    /// What runs in it.
    pub(crate) body: Body,
}

/// What runs in a side process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// The closure with this number.
    Closure(usize),
    /// The program with this number in the configuration.
    Program(usize),
    /// The application's task handler.
    Tasks,
}

/// What task processes are called.
const TASK: &str = "task";

/// A process that wants to be told of events.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Listener {
    instances: Instances,
    events: Vec<EventKind>,
}

/// The mailboxes of all instances of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Instances {
    first: Address,
    /// At least 1.
    count: u16,
}

impl Directory {
    /// The side processes of a server with so many workers: closures first, then the programs of the configuration, then
    /// task processes. Behind their mailboxes are the queues of tasks.
    pub(crate) fn new(
        workers: u16,
        closures: &[&str],
        programs: &[ProcessConfig],
        tasks: u16,
    ) -> Self {
        let mut directory =
            Self { workers, sides: Vec::new(), listeners: Vec::new(), tasks: TaskQueues::NONE };
        for (number, name) in closures.iter().enumerate() {
            directory.add(name, 1, Body::Closure(number), &[]);
        }
        for (number, program) in programs.iter().enumerate() {
            let events = &program.events;
            directory.add(&program.name, program.instances, Body::Program(number), events);
        }
        directory.add(TASK, tasks, Body::Tasks, &[]);
        // Behind all of these so far; the master's own is the last.
        directory.tasks = TaskQueues::new(directory.master(), tasks);
        directory
    }

    fn add(&mut self, name: &str, instances: u16, body: Body, events: &[EventKind]) {
        let first = Address(self.workers + self.sides.len() as u16);
        for instance in 0..instances {
            let address = Address(first.0 + instance);
            self.sides.push(Side { name: name.to_owned(), instance, instances, address, body });
        }
        if !events.is_empty() {
            let instances = Instances { first, count: instances };
            self.listeners.push(Listener { instances, events: events.to_vec() });
        }
    }

    /// All of them.
    pub(crate) fn sides(&self) -> &[Side] {
        &self.sides
    }

    /// How many mailboxes the server has.
    pub(crate) fn mailboxes(&self) -> u16 {
        self.master().0 + 1
    }

    /// The mailbox of the master, behind all others. Only answers come into it.
    pub(crate) fn master(&self) -> Address {
        Address(self.workers + self.sides.len() as u16 + self.tasks.len())
    }

    /// The queues of tasks.
    pub(crate) fn tasks(&self) -> TaskQueues {
        self.tasks
    }

    /// Who wants to be told of a kind of event.
    pub(crate) fn listeners(&self, event: EventKind) -> impl Iterator<Item = Instances> {
        let wants = move |listener: &&Listener| listener.events.contains(&event);
        self.listeners.iter().filter(wants).map(|listener| listener.instances)
    }

    /// The instances of the program with this name.
    pub(crate) fn program(&self, name: &str) -> Option<Instances> {
        let is_meant = |side: &&Side| match side.body {
            Body::Program(_) => side.name == name && side.instance == 0,
            Body::Closure(_) | Body::Tasks => false,
        };
        let first = self.sides.iter().find(is_meant)?;
        Some(Instances { first: first.address, count: first.instances.max(1) })
    }

    /// The mailbox of a recipient. The name of a process with several instances means its first; `name/1` its second.
    pub(crate) fn find(&self, recipient: &Recipient<'_>) -> Option<Address> {
        match recipient {
            Recipient::Worker(slot) => {
                (*slot < self.workers).then(|| Slot::new(*slot)).flatten().map(Slot::address)
            }
            Recipient::Process(name) => {
                let (name, instance) = match name.split_once('/') {
                    Some((name, instance)) => (name, instance.parse().ok()?),
                    None => (name.as_ref(), 0),
                };
                let mut sides = self.sides.iter();
                let found = sides.find(|side| side.name == name && side.instance == instance)?;
                Some(found.address)
            }
        }
    }

    /// What the process with this mailbox is called.
    pub(crate) fn name_of(&self, address: Address) -> String {
        match address.0.checked_sub(self.workers) {
            None => format!("worker {}", address.0),
            Some(number) => match self.sides.get(usize::from(number)) {
                Some(side) => side.full_name(),
                None if address == self.master() => "master".to_owned(),
                None => format!("process {}", address.0),
            },
        }
    }
}

impl Side {
    /// Its name, with its instance if it has several.
    pub(crate) fn full_name(&self) -> String {
        match self.instances {
            1 => self.name.clone(),
            _ => format!("{}/{}", self.name, self.instance),
        }
    }
}

impl Instances {
    /// How many there are; at least 1.
    pub(crate) fn count(self) -> u16 {
        self.count.max(1)
    }

    /// The number of the instance that is told of everything about a connection, so that what happens on it stays in order.
    /// It depends on nothing but the id: a successor gets the connections of its predecessor.
    pub(crate) fn number_of(self, connection: ConnectionId) -> u16 {
        (connection.serial() % u64::from(self.count())) as u16
    }

    /// The mailbox of that instance.
    pub(crate) fn of_connection(self, connection: ConnectionId) -> Address {
        self.of_number(self.number_of(connection))
    }

    /// The mailbox of an instance.
    pub(crate) fn of_number(self, number: u16) -> Address {
        Address(self.first.0 + number)
    }

    /// All mailboxes.
    pub(crate) fn all(self) -> impl Iterator<Item = Address> {
        (self.first.0..self.first.0 + self.count).map(Address)
    }
}
