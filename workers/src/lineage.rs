//! Whose a command is, while several processes of one slot live: the successor, which reads the slot's mailbox, and those that
//! leave. Pure.
//!
//! Each passes on what is not its own to the one before it, over the line that joins them ([`wsmaster_ipc::relay`]); nothing goes
//! the other way but through the mailbox. What is for one connection belongs to the process that gave out its id, an answer to
//! the process that asked, which the number of the question tells. A message for many goes to all of them, in the order of the
//! mailbox, and the last one answers for all. A process whose slot is shared sends what is not for itself alone to its own
//! mailbox, as to any other; it knows by the ticket what came from itself, and does not do it twice.

use wsmaster_ipc::{Address, Command, ReplyTo, Scope};

/// The bits of a question's number that count; those above say which life of the slot asks.
const COUNT_BITS: u32 = 48;

/// Which of a slot's processes this one is.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    own: Address,
    life: u64,
    first_serial: u64,
    /// The last serial number that it has given out, once it gives out none any more and the mailbox is the successor's.
    last_serial: Option<u64>,
    has_predecessor: bool,
}

/// Whose a command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// This process's alone.
    Ours,
    /// That of the process before, or of one before that.
    Predecessor,
    /// All processes' of the slot.
    All,
    /// Nobody's who lives.
    Nobody,
}

impl Lineage {
    /// The process with this mailbox, of this life of its slot, whose connections have serial numbers from `first_serial`.
    /// `has_predecessor`: the process before lives, and takes what is passed on to it.
    pub(crate) fn new(own: Address, life: u64, first_serial: u64, has_predecessor: bool) -> Self {
        // A life counts from 1; after 65,536 of them nobody is left who could be confused.
        let life = life & (u64::MAX >> COUNT_BITS);
        Self { own, life, first_serial, last_serial: None, has_predecessor }
    }

    /// The number of this life's first question.
    pub(crate) fn first_request(&self) -> u64 {
        self.mark().request + 1
    }

    /// A ticket that says whose a message is, and whose answer nobody waits for.
    pub(crate) fn mark(&self) -> ReplyTo {
        ReplyTo { reply_to: self.own, request: self.life << COUNT_BITS }
    }

    /// Whether a ticket is only a [mark](Self::mark), of whichever process of the slot.
    pub(crate) fn is_mark(&self, ticket: ReplyTo) -> bool {
        ticket.reply_to == self.own && ticket.request & (u64::MAX >> (64 - COUNT_BITS)) == 0
    }

    /// Whether this process has asked a question.
    pub(crate) fn has_asked(&self, ticket: ReplyTo) -> bool {
        ticket.reply_to == self.own && ticket.request >> COUNT_BITS == self.life
    }

    /// Whether a connection of this slot could only be one of this process's own.
    pub(crate) fn is_own_serial(&self, serial: u64) -> bool {
        let before = self.has_predecessor && serial < self.first_serial;
        let after = self.last_serial.is_some_and(|last| serial > last);
        !before && !after
    }

    /// Whether other processes of this slot may have connections.
    pub(crate) fn is_shared(&self) -> bool {
        self.has_predecessor || self.last_serial.is_some()
    }

    /// Whether a process before this one takes what is passed on.
    pub(crate) fn has_predecessor(&self) -> bool {
        self.has_predecessor
    }

    /// From now on the successor reads the mailbox.
    pub(crate) fn hand_over(&mut self, last_serial: u64) {
        self.last_serial = Some(last_serial);
    }

    /// Whether it has done so.
    pub(crate) fn has_handed_over(&self) -> bool {
        self.last_serial.is_some()
    }

    /// The process before is gone, and one before that takes what is passed on.
    pub(crate) fn find_predecessor(&mut self) {
        self.has_predecessor = true;
    }

    /// The process before is gone.
    pub(crate) fn lose_predecessor(&mut self) {
        self.has_predecessor = false;
    }

    /// Whose a command is that came from the mailbox, or from the successor.
    pub(crate) fn owner(&self, command: &Command<'_>) -> Owner {
        match command {
            Command::Request { request, .. } => match request.scope() {
                Scope::Connection(id)
                    if self.has_predecessor && id.serial() < self.first_serial =>
                {
                    Owner::Predecessor
                }
                Scope::Connection(_) | Scope::Receiver => Owner::Ours,
                Scope::Slot => Owner::All,
            },
            Command::Answer { request, .. } => {
                if request >> COUNT_BITS == self.life {
                    Owner::Ours
                } else if self.has_predecessor {
                    Owner::Predecessor
                } else {
                    Owner::Nobody
                }
            }
            Command::Note(_) => Owner::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use wsmaster_ipc::{
        Answer, ConnectionId, Outcome, PayloadKind, Request, Slot, command::Recipients,
    };

    use super::*;

    const OWN: Address = Address(0);
    /// Somebody in another slot.
    const FAR: ReplyTo = ReplyTo { reply_to: Address(5), request: 9 };

    /// A command, as far as it matters here.
    #[derive(Clone, Debug)]
    enum Letter {
        Push { serial: u64, ticket: ReplyTo },
        Publish { number: u64, ticket: ReplyTo, before: u64 },
        Answer { request: u64, delivered: u64 },
    }

    impl Letter {
        fn owner(&self, lineage: &Lineage) -> Owner {
            let kind = PayloadKind::Text;
            lineage.owner(&match *self {
                Self::Push { serial, ticket } => {
                    let id = ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap();
                    let request = Request::Push { id, kind, payload: b"" };
                    Command::Request { ticket: Some(ticket), request }
                }
                Self::Publish { ticket, .. } => {
                    let only = Recipients::default();
                    let (channel, payload, exclude) = ("c", &b""[..], None);
                    let request = Request::Publish { channel, kind, payload, exclude, only };
                    Command::Request { ticket: Some(ticket), request }
                }
                Self::Answer { request, .. } => Command::Answer {
                    from: OWN,
                    request,
                    answer: Answer::One(Outcome::Delivered),
                    ticket: None,
                },
            })
        }
    }

    struct Process {
        lineage: Lineage,
        inbox: VecDeque<Letter>,
        serials: Vec<u64>,
        next_request: u64,
        /// Numbers of the publishes that its connections have got, in order.
        heard: Vec<u64>,
        answers: BTreeMap<u64, u64>,
    }

    /// A slot with its processes, the oldest first, and the mailbox that the youngest reads.
    #[derive(Default)]
    struct Sim {
        mailbox: VecDeque<Letter>,
        processes: Vec<Process>,
        serial: u64,
        lives: u64,
        far_answers: Vec<u64>,
    }

    impl Sim {
        fn begin_life(&mut self) {
            self.lives += 1;
            if let Some(predecessor) = self.processes.last_mut() {
                predecessor.lineage.hand_over(self.serial);
            }
            let has_predecessor = !self.processes.is_empty();
            let lineage = Lineage::new(OWN, self.lives, self.serial + 1, has_predecessor);
            self.processes.push(Process {
                next_request: lineage.first_request(),
                lineage,
                inbox: VecDeque::new(),
                serials: Vec::new(),
                heard: Vec::new(),
                answers: BTreeMap::new(),
            });
        }

        fn accept(&mut self) -> u64 {
            self.serial += 1;
            self.processes.last_mut().unwrap().serials.push(self.serial);
            self.serial
        }

        /// A process asks for something: here if it can be nowhere else, or over the mailbox.
        fn ask(&mut self, process: usize) -> ReplyTo {
            let process = &mut self.processes[process];
            let ticket = ReplyTo { reply_to: OWN, request: process.next_request };
            process.next_request += 1;
            ticket
        }

        /// One process takes one letter. Whether there was one.
        fn step(&mut self, at: usize) -> bool {
            let is_youngest = at + 1 == self.processes.len();
            let from = if is_youngest { &mut self.mailbox } else { &mut self.processes[at].inbox };
            let Some(letter) = from.pop_front() else { return false };
            let process = &mut self.processes[at];
            match (letter.owner(&process.lineage), letter) {
                (Owner::Nobody, letter) => panic!("nobody's: {letter:?}"),
                (Owner::Predecessor, letter) => self.processes[at - 1].inbox.push_back(letter),
                (Owner::Ours, Letter::Answer { request, delivered }) => {
                    let answered_before = process.answers.insert(request, delivered);
                    assert_eq!(answered_before, None, "answered twice");
                }
                (Owner::Ours, Letter::Push { serial, ticket }) => {
                    let delivered = u64::from(process.serials.contains(&serial));
                    self.answer(at, ticket, delivered);
                }
                (Owner::All, Letter::Publish { number, ticket, before }) => {
                    let mut before = before;
                    if !process.lineage.has_asked(ticket) {
                        process.heard.push(number);
                        before += process.serials.len() as u64;
                    }
                    if process.lineage.has_predecessor() {
                        let letter = Letter::Publish { number, ticket, before };
                        self.processes[at - 1].inbox.push_back(letter);
                    } else {
                        self.answer(at, ticket, before);
                    }
                }
                (owner, letter) => panic!("{letter:?} is {owner:?}"),
            }
            true
        }

        fn answer(&mut self, at: usize, ticket: ReplyTo, delivered: u64) {
            if ticket.reply_to != OWN {
                self.far_answers.push(delivered);
            } else if !self.processes[at].lineage.is_mark(ticket) {
                self.mailbox.push_back(Letter::Answer { request: ticket.request, delivered });
            }
        }
    }

    /// Up to four processes in a slot, who push and publish to each other, read in any order.
    #[test]
    fn every_question_has_one_true_answer_and_all_hear_all_in_order() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut sim = Sim::default();
            let mut expected: Vec<BTreeMap<u64, u64>> = Vec::new();
            let (mut far_asked, mut published) = (0, 0);
            // What each process should hear: all that was published since its life began, but for its own.
            let mut own: Vec<Vec<u64>> = Vec::new();
            let mut since: Vec<u64> = Vec::new();
            for _ in 0..4 {
                // Whatever is under way when a successor begins is still answered.
                sim.begin_life();
                expected.push(BTreeMap::new());
                own.push(Vec::new());
                since.push(published + 1);
                for _ in 0..3 {
                    sim.accept();
                }
                for _ in 0..random.usize(1..30) {
                    let from = random.usize(0..sim.processes.len());
                    match random.u8(0..4) {
                        0 => {
                            let serial = random.u64(1..=sim.serial);
                            let lineage = &sim.processes[from].lineage;
                            if lineage.is_own_serial(serial) {
                                assert!(sim.processes[from].serials.contains(&serial));
                                continue;
                            }
                            let ticket = sim.ask(from);
                            expected[from].insert(ticket.request, 1);
                            sim.mailbox.push_back(Letter::Push { serial, ticket });
                        }
                        1 => {
                            let serial = random.u64(1..=sim.serial);
                            far_asked += 1;
                            sim.mailbox.push_back(Letter::Push { serial, ticket: FAR });
                        }
                        2 if sim.processes[from].lineage.is_shared() => {
                            published += 1;
                            let ticket = if random.bool() {
                                let ticket = sim.ask(from);
                                // Those of all others who live.
                                expected[from].insert(ticket.request, u64::MAX);
                                ticket
                            } else {
                                sim.processes[from].lineage.mark()
                            };
                            own[from].push(published);
                            let number = published;
                            sim.mailbox.push_back(Letter::Publish { number, ticket, before: 0 });
                        }
                        _ => {
                            let at = random.usize(0..sim.processes.len());
                            sim.step(at);
                        }
                    }
                }
                // A successor begins only with an empty mailbox here, so that it is known who hears what.
                loop {
                    let steps = (0..sim.processes.len()).filter(|at| sim.step(*at)).count();
                    if steps == 0 {
                        break;
                    }
                }
                for (request, delivered) in expected.iter_mut().flat_map(BTreeMap::iter_mut) {
                    let _ = request;
                    if *delivered == u64::MAX {
                        *delivered = 3 * (sim.processes.len() as u64 - 1);
                    }
                }
            }
            for (at, process) in sim.processes.iter().enumerate() {
                assert_eq!(process.answers, expected[at], "seed {seed}, process {at}");
                let all = (since[at]..=published).filter(|number| !own[at].contains(number));
                assert!(process.heard.iter().copied().eq(all), "seed {seed}, process {at}");
            }
            assert_eq!(sim.far_answers, vec![1; far_asked], "seed {seed}");
        }
    }
}
