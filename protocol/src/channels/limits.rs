//! What a request of the channel application may cost.

/// What a request may cost. The size of a whole request is bounded before it comes here, by the message limit of the
/// session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Bytes of a channel name.
    pub channel_bytes_max: usize,
    /// Entries of `recipients`.
    pub recipients_max: usize,
    /// Bytes of `id` as it stands in the JSON text, quotes and escapes included.
    pub id_bytes_max: usize,
    /// Arrays and objects inside one another in `message`; 0 allows strings, numbers, booleans and null only.
    ///
    /// The server itself does not descend into `message`. The limit is for the receivers: most JSON readers give up,
    /// and some crash, at a depth between 100 and 1000, and one client must not be able to do that to all others.
    pub message_depth_max: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            channel_bytes_max: 200,
            recipients_max: 100,
            id_bytes_max: 64,
            message_depth_max: 64,
        }
    }
}
