//! One annotated function: what is known of it before a call, worked out once.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use crate::encode::append_text;
use crate::shape::{Shape, remembered};
use crate::tag::Part;

/// What the macro writes down of a function. One static for each, shared by its generic instances.
#[derive(Debug)]
pub struct Site {
    pub package: &'static str,
    pub file: &'static str,
    pub line: u32,
    /// Stands for the path, if the user gave one.
    pub key_name: Option<&'static str>,
    pub version: Option<&'static str>,
    /// The arguments that the result depends on, as they were written.
    pub vary_on: &'static [&'static str],
    pub tags: &'static [&'static str],
    /// Those tags that are templates.
    pub templates: &'static [&'static [Part]],
    pub cache_name: &'static str,
    /// Are its entries about elements of an argument? They are no single calls' entries then.
    pub is_batch: bool,
    /// Does one process run for all that miss?
    pub is_leased: bool,
    /// Does it take over the tags of the cached calls in its body?
    pub inherits_tags: bool,
    /// Is the last value right as long as they give the same?
    pub has_early_cutoff: bool,
    pub instances: Instances,
}

/// The instances of a function that were called: one, or one for each set of generic arguments.
/// They stay, so each is written down behind the last one and found without a lock or a count.
#[derive(Debug)]
pub struct Instances(OnceLock<Box<(Instance, Instances)>>);

impl Instances {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Instances(OnceLock::new())
    }

    fn find(&self, id: TypeId) -> Option<&Instance> {
        let mut instances = self;
        while let Some((instance, others)) = instances.0.get().map(Box::as_ref) {
            if instance.id == id {
                return Some(instance);
            }
            instances = others;
        }
        None
    }

    /// Adds one, unless somebody else just has.
    fn add(&self, fresh: Instance) -> &Instance {
        let id = fresh.id;
        let mut fresh = Some(fresh);
        let mut instances = self;
        loop {
            if let Some(instance) = fresh.take()
                && let Err(back) = instances.0.set(Box::new((instance, Instances::new())))
            {
                fresh = Some(back.0);
            }
            // It is set: by us, or by who came first.
            let Some((instance, others)) = instances.0.get().map(Box::as_ref) else { continue };
            if instance.id == id {
                return instance;
            }
            instances = others;
        }
    }
}

/// A function with its generic arguments, as the type of a closure in its body tells.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The function's path with the impl's type and all generic arguments filled in.
    pub name: &'static str,
    /// Tells two types of one name apart, in this process.
    pub id: TypeId,
}

#[derive(Debug)]
pub(crate) struct Instance {
    id: TypeId,
    /// Stands for all that does not change from call to call.
    pub(crate) fingerprint: u128,
    /// Of what is stored; part of the fingerprint.
    pub(crate) shape: Shape,
    /// For keys and messages: the path without generic arguments, or `key_name`.
    pub(crate) name: Arc<str>,
    /// Why this one is not cached: another has the same identity.
    pub(crate) twin: Option<String>,
}

impl Site {
    pub(crate) fn instance(
        &'static self,
        path: Path,
        shape_of: fn() -> Shape,
    ) -> &'static Instance {
        match self.instances.find(path.id) {
            Some(instance) => instance,
            // Worked out without a lock: a type's `Deserialize` may call cached functions too.
            None => self.instances.add(self.work_out(path, shape_of)),
        }
    }

    fn work_out(&'static self, path: Path, shape_of: fn() -> Shape) -> Instance {
        let path_of_function = path.name.trim_end_matches("::{{closure}}");
        let arguments = generic_arguments(path_of_function);
        let kind: &[u8] = if self.is_batch { b"batch" } else { b"function" };
        let mut bytes = kind.to_vec();
        match self.key_name {
            Some(name) => append_texts(&[name, &arguments], &mut bytes),
            None => append_texts(&[self.package, path_of_function, ""], &mut bytes),
        }
        if arguments.contains("{{") {
            // A closure, or a type that is local to one: its name does not tell it from the
            // next one, its id does, for as long as the program is built alike.
            bytes.extend_from_slice(&number_of(path.id).to_le_bytes());
        }
        append_texts(self.version.as_slice(), &mut bytes);
        append_texts(self.vary_on, &mut bytes);
        append_texts(self.tags, &mut bytes);
        let shape = remembered(shape_of);
        bytes.extend_from_slice(&shape.fingerprint.to_le_bytes());
        let fingerprint = xxh3_128(&bytes);
        let name = match self.key_name {
            Some(name) => name.into(),
            None => without_generic_arguments(path_of_function).into(),
        };
        let twin = self.twin(path.id, fingerprint);
        Instance { id: path.id, fingerprint, shape, name, twin }
    }

    /// Another function with this identity: two of one path (inside of two blocks of one
    /// function), of one `key_name`, or with generic arguments of one name.
    fn twin(&'static self, id: TypeId, fingerprint: u128) -> Option<String> {
        type Owners = Mutex<HashMap<u128, (TypeId, &'static Site)>>;
        static OWNERS: LazyLock<Owners> = LazyLock::new(Owners::default);
        let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (owner, at) = *owners.entry(fingerprint).or_insert((id, self));
        (owner != id).then(|| {
            format!(
                "the function at {}:{} has the same path, arguments and return type as the one at \
                 {}:{}, so one would read the other's entries; give one of them another `key_name`, \
                 or its generic arguments other names",
                self.file, self.line, at.file, at.line
            )
        })
    }
}

/// A type's id as a number that is the same in each process of one build.
fn number_of(id: TypeId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Appends texts so that no two different rows of them look alike.
fn append_texts(texts: &[&str], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(texts.len() as u64).to_le_bytes());
    texts.iter().for_each(|text| append_text(text, bytes));
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
