//! The contracts as data, for tests that enumerate them.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// All contracts, with their options.
///
/// # Panics
///
/// If the descriptors that the build wrote do not decode.
pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(tally_proto::DESCRIPTORS).expect("the build wrote them")
}

/// The project's own messages; map entries and imports are not among them.
pub fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages()
        .filter(|message| message.full_name().starts_with("tally.") && !message.is_map_entry())
        .collect()
}

/// True if the field may hold personal data in clear.
pub fn is_personal(pool: &DescriptorPool, field: &FieldDescriptor) -> bool {
    let option = pool
        .get_extension_by_name("tally.options.v1.personal")
        .expect("the option is declared");
    let options = field.options();
    options.has_extension(&option) && options.get_extension(&option).as_bool() == Some(true)
}

/// All fields that can be reached from a message, itself included.
pub fn reachable_fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let mut seen = std::collections::HashSet::new();
    let mut open = vec![message.clone()];
    let mut fields = Vec::new();
    while let Some(message) = open.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            if let Kind::Message(inner) = field.kind() {
                open.push(inner);
            }
            fields.push(field);
        }
    }
    fields
}

/// True for every kind of number but enumerations.
pub fn is_numeric(field: &FieldDescriptor) -> bool {
    matches!(
        field.kind(),
        Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
    )
}
