//! The names, mailboxes and subscriptions of all side processes. Pure.

use std::rc::Rc;

use wsmaster_ipc::{Address, ConnectionId, Slot, TaskQueues};
use wsmaster_protocol::plugin::{EventKind, Recipient};

use crate::config::{Config, ProcessConfig};

/// All side processes of a server, in the order of their mailboxes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Directory {
    workers: u16,
    sides: Vec<SideProcess>,
    subscribers: Vec<Subscriber>,
    tasks: TaskQueues,
}

/// One running instance of a side process.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SideProcess {
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
    /// It was removed from the configuration: processes that know its mailbox may still use it, and no name leads to it any more.
    pub(crate) is_retired: bool,
}

/// A program of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Installed {
    /// Its table of the configuration.
    pub(crate) config: ProcessConfig,
    /// It has connections of its own.
    pub(crate) is_application: bool,
}

impl Installed {
    /// All programs of a configuration.
    pub(crate) fn all_of(config: &Config) -> Vec<Self> {
        let installed = |program: &ProcessConfig| Self {
            config: program.clone(),
            is_application: config.is_application(&program.name),
        };
        config.processes.iter().map(installed).collect()
    }
}

/// What runs in a side process.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Body {
    /// The closure with this number.
    Closure(usize),
    /// A program of the configuration.
    Program(Rc<Installed>),
    /// The application's task handler.
    Tasks,
    /// Nothing: the mailbox is there for a program that a reload may add.
    Vacant,
}

/// What task processes are called.
const TASK: &str = "task";

/// A side process that has asked for events.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Subscriber {
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
    /// task processes, then `spare` mailboxes without an owner. Behind all of them are the queues of tasks.
    pub(crate) fn new(
        workers: u16,
        closures: &[&str],
        programs: Vec<Installed>,
        tasks: u16,
        spare: u16,
    ) -> Self {
        let mut directory =
            Self { workers, sides: Vec::new(), subscribers: Vec::new(), tasks: TaskQueues::NONE };
        for (number, name) in closures.iter().enumerate() {
            directory.add(name, 1, &Body::Closure(number));
        }
        for program in programs {
            let (name, instances) = (program.config.name.clone(), program.config.instances);
            directory.add(&name, instances, &Body::Program(Rc::new(program)));
        }
        directory.add(TASK, tasks, &Body::Tasks);
        for _ in 0..spare {
            directory.add("", 1, &Body::Vacant);
        }
        directory.find_subscribers();
        // Behind all of these so far; the master's own is the last.
        directory.tasks = TaskQueues::new(directory.master(), tasks);
        directory
    }

    fn add(&mut self, name: &str, instances: u16, body: &Body) {
        for instance in 0..instances {
            let address = Address(self.workers + self.sides.len() as u16);
            let (name, body) = (name.to_owned(), body.clone());
            let is_retired = false;
            self.sides.push(SideProcess { name, instance, instances, address, body, is_retired });
        }
    }

    /// Gathers the subscriptions of all programs.
    pub(super) fn find_subscribers(&mut self) {
        let subscriber = |side: &SideProcess| match &side.body {
            Body::Program(program) if side.is_first() && !program.config.events.is_empty() => {
                let instances = Instances { first: side.address, count: side.instances };
                Some(Subscriber { instances, events: program.config.events.clone() })
            }
            Body::Program(_) | Body::Closure(_) | Body::Tasks | Body::Vacant => None,
        };
        self.subscribers = self.sides.iter().filter_map(subscriber).collect();
    }

    /// All of them.
    pub(crate) fn sides(&self) -> &[SideProcess] {
        &self.sides
    }

    pub(super) fn sides_mut(&mut self) -> &mut Vec<SideProcess> {
        &mut self.sides
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

    /// The side processes that have asked for a kind of event.
    pub(crate) fn subscribers(&self, event: EventKind) -> impl Iterator<Item = Instances> {
        let wants = move |subscriber: &&Subscriber| subscriber.events.contains(&event);
        self.subscribers.iter().filter(wants).map(|subscriber| subscriber.instances)
    }

    /// The instances of the program with this name.
    pub(crate) fn program(&self, name: &str) -> Option<Instances> {
        let is_meant = |side: &&SideProcess| match side.body {
            Body::Program(_) => side.name == name && side.is_first(),
            Body::Closure(_) | Body::Tasks | Body::Vacant => false,
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
                let is_meant = |side: &&SideProcess| {
                    side.name == name && side.instance == instance && side.is_there()
                };
                let found = sides.find(is_meant)?;
                Some(found.address)
            }
        }
    }

    /// The name of the process with this mailbox.
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

impl SideProcess {
    /// Whether its name leads to it.
    fn is_there(&self) -> bool {
        !self.is_retired && !self.name.is_empty()
    }

    /// Whether it is the first instance of a process whose name leads to it.
    fn is_first(&self) -> bool {
        self.instance == 0 && self.is_there()
    }

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

    /// The number of the instance that gets all events of a connection, so that they stay in order.
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
