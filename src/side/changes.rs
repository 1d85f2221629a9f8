//! What a reload does to the programs: which stay, which are started again, which are added and which removed. Pure.
//!
//! Mailboxes are made before the first fork, and every process knows all of them. So a program that is added is given one
//! without an owner, and one that is removed leaves its own without.

use std::{collections::BTreeSet, rc::Rc};

use serde::{Deserialize, Serialize};

use super::directory::{Body, Directory, Installed, SideProcess};

/// The names of all places in their order, for processes that learned them at their start and live on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    name: String,
    instance: u16,
    instances: u16,
    is_retired: bool,
}

/// See the module. The numbers are places in the directory.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Changes {
    /// As it is from now on.
    pub(crate) directory: Directory,
    /// Those that are another program now, or have another one in their files.
    pub(crate) changed: Vec<usize>,
    /// Those that are added.
    pub(crate) added: Vec<usize>,
    /// Those that are removed, and end when no other process uses their mailbox any more.
    pub(crate) retired: Vec<usize>,
}

impl Directory {
    /// Compares with the programs of a new configuration. `is_touched`: the files of the program in this place are others
    /// than it was started with. `is_free`: a place without an owner can be given away.
    ///
    /// # Errors
    /// There is no room; what to do about it.
    pub(crate) fn change(
        &self,
        programs: &[Installed],
        is_touched: impl Fn(usize) -> bool,
        is_free: impl Fn(usize) -> bool,
    ) -> Result<Changes, String> {
        let mut changes = Changes {
            directory: self.clone(),
            changed: Vec::new(),
            added: Vec::new(),
            retired: Vec::new(),
        };
        // One with another number of instances is another one: its connections are spread in another way.
        let mut stays = BTreeSet::new();
        for (number, side) in self.sides().iter().enumerate() {
            let Body::Program(now) = &side.body else { continue };
            if side.is_retired {
                continue;
            }
            let then = programs.iter().find(|then| {
                then.config.name == side.name && then.config.instances == side.instances
            });
            let Some(then) = then else {
                changes.retire(number);
                continue;
            };
            stays.insert(side.name.as_str());
            if then != &**now {
                changes.directory.set(number, Body::Program(Rc::new(then.clone())));
                changes.changed.push(number);
            } else if is_touched(number) {
                changes.changed.push(number);
            }
        }
        for program in programs {
            if !stays.contains(program.config.name.as_str()) {
                changes.add(program, &is_free)?;
            }
        }
        changes.directory.find_subscribers();
        Ok(changes)
    }

    /// The names of all places.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        let listed = |side: &SideProcess| Listed {
            name: side.name.clone(),
            instance: side.instance,
            instances: side.instances,
            is_retired: side.is_retired,
        };
        self.sides().iter().map(listed).collect()
    }

    /// Takes new names for all places.
    pub(crate) fn rename(&mut self, names: Vec<Listed>) {
        for (side, listed) in self.sides_mut().iter_mut().zip(names) {
            let Listed { name, instance, instances, is_retired } = listed;
            (side.name, side.instance) = (name, instance);
            (side.instances, side.is_retired) = (instances, is_retired);
        }
    }

    /// This place has no owner any more.
    pub(crate) fn vacate(&mut self, number: usize) {
        if let Some(side) = self.sides_mut().get_mut(number) {
            (side.name, side.instance, side.instances) = (String::new(), 0, 1);
            (side.body, side.is_retired) = (Body::Vacant, false);
        }
    }

    fn set(&mut self, number: usize, body: Body) {
        if let Some(side) = self.sides_mut().get_mut(number) {
            side.body = body;
        }
    }
}

impl Changes {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty() && self.retired.is_empty()
    }

    fn retire(&mut self, number: usize) {
        if let Some(side) = self.directory.sides_mut().get_mut(number) {
            side.is_retired = true;
        }
        self.retired.push(number);
    }

    /// Gives a program as many places as it has instances, one behind the other.
    fn add(&mut self, program: &Installed, is_free: &impl Fn(usize) -> bool) -> Result<(), String> {
        let count = usize::from(program.config.instances);
        let sides = self.directory.sides();
        let can_be_had = |number: usize| sides[number].body == Body::Vacant && is_free(number);
        let first = (0..(sides.len() + 1).saturating_sub(count))
            .find(|first| (*first..first + count).all(can_be_had));
        let Some(first) = first else {
            let free = (0..sides.len()).filter(|number| can_be_had(*number)).count();
            return Err(format!(
                "the process \"{}\" needs places for {count} instances, and a server that runs has {free} for new ones: \
                 `wsmaster restart`",
                program.config.name
            ));
        };
        let body = Body::Program(Rc::new(program.clone()));
        for instance in 0..program.config.instances {
            let number = first + usize::from(instance);
            if let Some(side) = self.directory.sides_mut().get_mut(number) {
                side.name.clone_from(&program.config.name);
                (side.instance, side.instances) = (instance, program.config.instances);
                side.body = body.clone();
            }
            self.added.push(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_protocol::plugin::{EventKind, Recipient};

    use super::*;
    use crate::config::{Config, Machine};

    fn programs(tables: &[(&str, u16, &str)]) -> Vec<Installed> {
        let table = |(name, instances, events): &(&str, u16, &str)| {
            format!(
                "[[process]]\nname = \"{name}\"\ncommand = \"c\"\ninstances = {instances}\nevents = [{events}]\n"
            )
        };
        let text: String = tables.iter().map(table).collect();
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let config = Config::from_toml(&text, "f", &machine).expect("valid");
        Installed::all_of(&config)
    }

    fn directory(tables: &[(&str, u16, &str)]) -> Directory {
        Directory::new(2, &["closure"], programs(tables), 1, 4)
    }

    fn process(directory: &Directory, name: &str) -> Option<u16> {
        directory.find(&Recipient::Process(name.to_owned().into())).map(|address| address.0)
    }

    const ALL: fn(usize) -> bool = |_| true;
    const NONE: fn(usize) -> bool = |_| false;

    #[test]
    fn what_is_the_same_stays_and_what_differs_or_was_touched_is_started_again() {
        let before = directory(&[("a", 1, ""), ("b", 2, ""), ("c", 1, "")]);
        let same = programs(&[("c", 1, ""), ("b", 2, ""), ("a", 1, "")]);
        let changes = before.change(&same, NONE, ALL).expect("there is room");
        assert!(
            changes.is_empty() && changes.directory == before,
            "the order is nothing: {changes:?}"
        );
        let touched = before.change(&same, |number| number == 3, ALL).expect("there is room");
        assert_eq!((touched.changed, &touched.directory), (vec![3], &before));
        let other = programs(&[("a", 1, "\"message\""), ("b", 2, ""), ("c", 1, "")]);
        let changes = before.change(&other, NONE, ALL).expect("there is room");
        assert_eq!((changes.changed, changes.added, changes.retired), (vec![1], vec![], vec![]));
        assert_eq!(before.subscribers(EventKind::Message).count(), 0);
        assert_eq!(changes.directory.subscribers(EventKind::Message).count(), 1);
        let mut application = same.clone();
        application[0].is_application = true;
        assert_eq!(before.change(&application, NONE, ALL).expect("room").changed, [4]);
    }

    #[test]
    fn a_new_program_gets_a_free_place_and_a_removed_one_is_found_no_more() {
        let before = directory(&[("a", 1, "\"message\""), ("b", 2, "")]);
        // Workers 0 and 1, the closure 2, a 3, b 4 and 5, the task process 6, spare 7 to 10.
        let after = programs(&[("b", 2, ""), ("new", 3, "\"message\"")]);
        let changes = before.change(&after, NONE, ALL).expect("there is room");
        assert_eq!((changes.added, changes.retired), (vec![5, 6, 7], vec![1]));
        let mut directory = changes.directory;
        assert_eq!((process(&directory, "a"), process(&directory, "new/2")), (None, Some(9)));
        assert_eq!(directory.name_of(wsmaster_ipc::Address(3)), "a", "it may still say something");
        let mut first = directory.subscribers(EventKind::Message).flat_map(|all| all.all());
        assert_eq!(first.next().map(|address| address.0), Some(7));
        drop(first);
        // It has ended: its place is free, if all have forgotten it.
        directory.vacate(1);
        let again =
            programs(&[("b", 2, ""), ("new", 3, "\"message\""), ("d", 1, ""), ("e", 1, "")]);
        assert!(directory.change(&again, NONE, |number| number != 1).is_err());
        let changes = directory.change(&again, NONE, ALL).expect("there is room");
        assert_eq!(changes.added, [1, 8]);
    }

    #[test]
    fn another_number_of_instances_is_another_program_beside_the_first() {
        let before = directory(&[("a", 2, "")]);
        let changes = before.change(&programs(&[("a", 3, "")]), NONE, ALL).expect("there is room");
        assert_eq!((changes.retired, changes.added), (vec![1, 2], vec![4, 5, 6]));
        assert_eq!(process(&changes.directory, "a"), Some(6));
        let refused = before.change(&programs(&[("a", 5, "")]), NONE, ALL).expect_err("only four");
        assert!(
            refused.contains("needs places for 5 instances, and a server that runs has 4"),
            "{refused}"
        );
    }

    #[test]
    fn names_reach_processes_that_live_on() {
        let before = directory(&[("a", 1, "")]);
        let changes = before.change(&programs(&[("b", 1, "")]), NONE, ALL).expect("there is room");
        let mut elsewhere = before.clone();
        elsewhere.rename(changes.directory.listed());
        assert_eq!((process(&elsewhere, "a"), process(&elsewhere, "b")), (None, Some(5)));
        assert_eq!(process(&elsewhere, "closure"), Some(2));
    }
}
