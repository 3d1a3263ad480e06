//! One annotated function: what is known of it before a call, worked out once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use xxhash_rust::xxh3::xxh3_128;

use crate::encode::append_text;
use crate::shape::{Shape, remembered};

/// What the macro writes down of a function. One static for each, shared by its generic instances.
#[derive(Debug)]
pub struct Site {
    pub package: &'static str,
    pub file: &'static str,
    pub line: u32,
    /// Stands for the path, if the user gave one.
    pub key_name: Option<&'static str>,
    pub version: Option<&'static str>,
    pub tags: &'static [&'static str],
    pub cache_name: &'static str,
    pub instances: Instances,
}

/// The instances of a function that were called: one, or one for each set of generic arguments.
#[derive(Debug)]
pub struct Instances(RwLock<Vec<Arc<Instance>>>);

impl Instances {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Instances(RwLock::new(Vec::new()))
    }
}

/// A function with its generic arguments.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The type name of a closure in the body: the function's path with the impl's type
    /// and all generic arguments filled in.
    path: &'static str,
    shape_of: fn() -> Shape,
    /// Stands for all that does not change from call to call.
    pub(crate) fingerprint: u128,
    /// For keys and messages: the path without generic arguments, or `key_name`.
    pub(crate) name: Arc<str>,
    /// Another function has the same identity, so this one is not cached.
    pub(crate) twin: Option<String>,
}

impl Site {
    pub(crate) fn instance(
        &'static self,
        path: &'static str,
        shape_of: fn() -> Shape,
    ) -> Arc<Instance> {
        let is_it = |instance: &&Arc<Instance>| {
            std::ptr::fn_addr_eq(instance.shape_of, shape_of) && instance.path == path
        };
        let instances = self.instances.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.iter().find(is_it) {
            return instance.clone();
        }
        drop(instances);
        // Worked out without the lock: a type's `Deserialize` may call cached functions too.
        let fresh = Arc::new(self.work_out(path, shape_of));
        let mut instances = self.instances.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.iter().find(is_it) {
            return instance.clone();
        }
        instances.push(fresh.clone());
        fresh
    }

    fn work_out(&'static self, path: &'static str, shape_of: fn() -> Shape) -> Instance {
        let path_of_function = path.trim_end_matches("::{{closure}}");
        let mut bytes = b"function".to_vec();
        match self.key_name {
            Some(name) => {
                append_text(name, &mut bytes);
                append_text(&generic_arguments(path_of_function), &mut bytes);
            }
            None => {
                append_text(self.package, &mut bytes);
                append_text(path_of_function, &mut bytes);
            }
        }
        bytes.push(u8::from(self.key_name.is_some()));
        bytes.push(u8::from(self.version.is_some()));
        append_text(self.version.unwrap_or_default(), &mut bytes);
        bytes.extend_from_slice(&(self.tags.len() as u64).to_le_bytes());
        self.tags.iter().for_each(|tag| append_text(tag, &mut bytes));
        bytes.extend_from_slice(&remembered(shape_of).fingerprint.to_le_bytes());
        let fingerprint = xxh3_128(&bytes);
        let name = match self.key_name {
            Some(name) => name.into(),
            None => without_generic_arguments(path_of_function).into(),
        };
        let twin = self.twin(fingerprint);
        Instance { path, shape_of, fingerprint, name, twin }
    }

    /// Another function with this identity: two of one path (inside of two blocks of one
    /// function) or of one `key_name`, alike in all the rest.
    fn twin(&'static self, fingerprint: u128) -> Option<String> {
        static OWNERS: LazyLock<Mutex<HashMap<u128, &'static Site>>> =
            LazyLock::new(Mutex::default);
        let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = *owners.entry(fingerprint).or_insert(self);
        (!std::ptr::eq(owner, self)).then(|| format!("{}:{}", owner.file, owner.line))
    }
}

/// `a::Foo<u8>::load<3>` without `<u8>` and `<3>`; the brackets of `<T as Trait>` stay.
fn without_generic_arguments(path: &str) -> String {
    let mut kept = String::with_capacity(path.len());
    let mut depth = 0_usize;
    let mut opened_qualified = false;
    let mut previous = ':';
    for character in path.chars() {
        match character {
            // At the start of a path segment it is `<T as Trait>`, whose text is kept.
            '<' if depth == 0 && kept.is_empty() => opened_qualified = true,
            '<' => depth += 1,
            '>' if previous == '-' => {}
            '>' if depth > 0 => depth -= 1,
            '>' if opened_qualified => opened_qualified = false,
            _ if depth == 0 => kept.push(if character == ' ' { '_' } else { character }),
            _ => {}
        }
        previous = character;
    }
    kept
}

/// What stands in angle brackets in a path.
fn generic_arguments(path: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    let mut previous = ':';
    for character in path.chars() {
        let closes = character == '>' && previous != '-';
        depth += usize::from(character == '<');
        if depth > 0 {
            kept.push(character);
        }
        depth = depth.saturating_sub(usize::from(closes));
        previous = character;
    }
    kept
}

#[cfg(test)]
mod tests;
