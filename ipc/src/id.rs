//! Names of processes and connections. Owns their number formats; allocates nothing and knows no clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How many worker slots an id can name: 10 bits.
pub const SLOTS_MAX: u16 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 10;
const ID_BITS: u32 = 53;
/// The largest serial number: 43 bits.
pub const SERIAL_MAX: u64 = (1 << (ID_BITS - SLOT_BITS)) - 1;

/// The place of a worker. A slot outlives the processes that fill it: its listener, its mailbox and its serial
/// numbers stay when a worker is replaced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number, if it is below [`SLOTS_MAX`].
    pub fn new(number: u16) -> Option<Self> {
        (number < SLOTS_MAX).then_some(Self(number))
    }

    /// Its number, from 0.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The mailbox of the worker in this slot.
    pub fn address(self) -> Address {
        Address(self.0)
    }
}

/// A number that cannot be a slot: [`SLOTS_MAX`] or more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a worker's slot")]
pub struct NotASlot;

impl TryFrom<u16> for Slot {
    type Error = NotASlot;

    fn try_from(number: u16) -> Result<Self, NotASlot> {
        Self::new(number).ok_or(NotASlot)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a mailbox: workers come first and have the number of their slot, side processes follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(pub u16);

/// One connection of one run of one server: never given to another one, not even after a restart.
///
/// The number is below 2^53, so JavaScript and every JSON reader hold it exactly. Its low 10 bits are the slot that owns
/// the connection, the upper 43 a serial number that only grows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The id with this slot and serial. `None` for a serial of 0 or above [`SERIAL_MAX`].
    pub fn new(slot: Slot, serial: u64) -> Option<Self> {
        (1..=SERIAL_MAX).contains(&serial).then_some(Self(serial << SLOT_BITS | u64::from(slot.0)))
    }

    /// The slot whose worker owns the connection.
    pub fn slot(self) -> Slot {
        Slot((self.0 & u64::from(SLOTS_MAX - 1)) as u16)
    }

    /// The serial number within the slot.
    pub fn serial(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    /// The whole number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// A number that cannot be a connection id: 0, a serial of 0, or 2^53 and more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a connection id")]
pub struct NotAConnectionId;

impl TryFrom<u64> for ConnectionId {
    type Error = NotAConnectionId;

    fn try_from(number: u64) -> Result<Self, NotAConnectionId> {
        if number >> ID_BITS != 0 || number >> SLOT_BITS == 0 {
            return Err(NotAConnectionId);
        }
        Ok(Self(number))
    }
}

impl From<ConnectionId> for u64 {
    fn from(id: ConnectionId) -> Self {
        id.0
    }
}

impl Serialize for ConnectionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wide::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for ConnectionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(wide::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Numbers that are large as a rule: a packet holds all their bytes, which are written and read much faster than digits to the
/// base of 128; JSON holds a number.
pub(crate) mod wide {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_u64(*number)
        } else {
            serializer.serialize_bytes(&number.to_le_bytes())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            return u64::deserialize(deserializer);
        }
        let bytes = <&[u8]>::deserialize(deserializer)?;
        let bytes = bytes.try_into().map_err(|_| de::Error::custom("not a number of 8 bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_slot_and_its_serial_and_fits_in_a_double() {
        for (slot, serial) in [(0, 1), (1023, 1), (7, 12345), (1023, SERIAL_MAX)] {
            let id = ConnectionId::new(Slot::new(slot).unwrap(), serial).unwrap();
            assert_eq!((id.slot().number(), id.serial()), (slot, serial));
            assert_eq!(id.as_u64() as f64 as u64, id.as_u64());
            assert_eq!(ConnectionId::try_from(id.as_u64()), Ok(id));
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        let slot = Slot::new(0).unwrap();
        assert_eq!(ConnectionId::new(slot, 0), None);
        assert_eq!(ConnectionId::new(slot, SERIAL_MAX + 1), None);
        for number in [0, 1, 1023, 1 << 53, u64::MAX] {
            assert_eq!(ConnectionId::try_from(number), Err(NotAConnectionId));
        }
        assert_eq!(Slot::new(SLOTS_MAX), None);
        assert!(serde_json::from_str::<ConnectionId>("9007199254740993").is_err());
    }
}
