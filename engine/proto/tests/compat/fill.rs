//! Makes messages with every field set, each to a value that occurs nowhere else in the message.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// Fills `message` and all messages below it. Of each oneof, arm number `arm` is set, or the last one.
pub(crate) fn filled(message: &MessageDescriptor, arm: usize) -> DynamicMessage {
    Filler { arm, count: 0 }.message(message)
}

struct Filler {
    arm: usize,
    /// Grows with every value given.
    count: u32,
}

impl Filler {
    fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if self.is_chosen(&field) {
                let value = self.field(&field);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn is_chosen(&self, field: &FieldDescriptor) -> bool {
        let Some(oneof) = field.containing_oneof() else { return true };
        let chosen = self.arm.min(oneof.fields().len() - 1);
        oneof.fields().nth(chosen).as_ref() == Some(field)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!("a map is made of entry messages") };
            let mut entries = HashMap::new();
            for _ in 0..2 {
                self.count += 1;
                let key = MapKey::String(format!("key {}", self.count));
                entries.insert(key, self.single(&entry.map_entry_value_field().kind()));
            }
            Value::Map(entries)
        } else if field.is_list() {
            Value::List(vec![self.single(&field.kind()), self.single(&field.kind())])
        } else {
            self.single(&field.kind())
        }
    }

    /// Integers use their whole width and the sign, so that a narrower or unsigned field shows.
    fn single(&mut self, kind: &Kind) -> Value {
        self.count += 1;
        let n = self.count;
        match kind {
            Kind::Bool => Value::Bool(true),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::MIN + n as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::MIN + i64::from(n)),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX - n),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX - u64::from(n)),
            Kind::Float => Value::F32(n as f32),
            Kind::Double => Value::F64(f64::from(n)),
            Kind::String => Value::String(format!("text {n} ä")),
            Kind::Bytes => Value::Bytes(vec![0xff, n as u8, (n >> 8) as u8].into()),
            // Not necessarily a declared value: those too must survive.
            Kind::Enum(_) => Value::EnumNumber(n as i32),
            Kind::Message(message) => Value::Message(self.message(message)),
        }
    }
}
