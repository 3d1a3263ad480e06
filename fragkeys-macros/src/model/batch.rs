//! Which argument is the batch, and how one of its elements is called.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::{FnArg, GenericArgument, ItemFn, Pat, PatIdent, PathArguments, Type, TypeReference};

use crate::diag::{Mistakes, list};
use crate::options::BatchOption;
use crate::signature;

/// The argument whose elements have entries of their own.
pub(crate) struct Batch {
    /// As the body sees it: a `mut` counts there, and not in the signature.
    pub(crate) pattern: PatIdent,
    /// Without lifetimes of its own: what the body gets lives as long as the body.
    pub(crate) ty: Type,
    /// How options call an element.
    pub(crate) element: Ident,
    pub(crate) element_type: Type,
}

/// An argument that is a list, by its type's tokens.
struct Candidate<'a> {
    pattern: &'a PatIdent,
    ty: &'a Type,
    element_type: &'a Type,
}

impl Batch {
    pub(crate) fn find(
        option: BatchOption,
        function: &mut ItemFn,
        mistakes: &mut Mistakes,
    ) -> Option<Batch> {
        let candidates = candidates(function);
        let chosen = choose(&option, function, &candidates, mistakes)?;
        let element = match option.element {
            Some(element) => element,
            None => element_of(chosen, mistakes)?,
        };
        if let Some(opaque) = signature::opaque_part(chosen.element_type) {
            let message =
                "the elements of a batch are what its map is asked for by; name their type";
            mistakes.at(opaque, message);
            return None;
        }
        let others = signature::bindings(&function.sig);
        if let Some(other) = others.iter().find(|other| **other == element) {
            let batch = &chosen.pattern.ident;
            let message = format!(
                "`{element}` is an argument, and would be an element of `{batch}` as well; \
                 call the element otherwise, as in `batch = element in {batch}`"
            );
            mistakes.at(other, message);
            return None;
        }
        let batch = Batch {
            pattern: chosen.pattern.clone(),
            ty: without_lifetime(chosen.ty),
            element,
            element_type: chosen.element_type.clone(),
        };
        immutable(function, &batch.pattern.ident);
        Some(batch)
    }
}

/// The arguments that could be a batch: `&[K]` and `Vec<K>`.
fn candidates(function: &ItemFn) -> Vec<Candidate<'_>> {
    function.sig.inputs.iter().filter_map(candidate).collect()
}

fn candidate(argument: &FnArg) -> Option<Candidate<'_>> {
    let FnArg::Typed(typed) = argument else { return None };
    let Pat::Ident(pattern) = &*typed.pat else { return None };
    let is_plain = pattern.by_ref.is_none() && pattern.subpat.is_none();
    let element_type = element_type(&typed.ty).filter(|_| is_plain)?;
    Some(Candidate { pattern, ty: &typed.ty, element_type })
}

/// `K` of `&[K]` and `Vec<K>`.
fn element_type(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Group(group) => element_type(&group.elem),
        Type::Paren(paren) => element_type(&paren.elem),
        Type::Reference(reference) if reference.mutability.is_none() => slice(&reference.elem),
        Type::Path(path) => {
            let last = path.path.segments.last().filter(|last| last.ident == "Vec")?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            match arguments.args.first()? {
                GenericArgument::Type(element) => Some(element),
                _ => None,
            }
        }
        _ => None,
    }
}

fn slice(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Group(group) => slice(&group.elem),
        Type::Paren(paren) => slice(&paren.elem),
        Type::Slice(slice) => Some(&slice.elem),
        _ => None,
    }
}

fn choose<'a, 'b>(
    option: &BatchOption,
    function: &ItemFn,
    candidates: &'b [Candidate<'a>],
    mistakes: &mut Mistakes,
) -> Option<&'b Candidate<'a>> {
    let name = &function.sig.ident;
    if let Some(argument) = &option.argument {
        let found = candidates.iter().find(|candidate| candidate.pattern.ident == *argument);
        if found.is_none() {
            let names: Vec<&Ident> = candidates.iter().map(|it| &it.pattern.ident).collect();
            let hint = match names.as_slice() {
                [] => format!("`{name}` has none"),
                names => format!("`{name}` has {}", list(names)),
            };
            let message = format!(
                "`{argument}` is no batch: that is an argument of type `&[K]` or `Vec<K>`; {hint}"
            );
            mistakes.at(argument, message);
        }
        return found;
    }
    match candidates {
        [only] => Some(only),
        [] => {
            let message = format!(
                "`{name}` has no batch: write an argument of type `&[K]` or `Vec<K>`, \
                 such as `ids: &[u64]`, or leave `batch` off"
            );
            mistakes.at_span(option.span, message);
            None
        }
        several => {
            let names: Vec<&Ident> = several.iter().map(|it| &it.pattern.ident).collect();
            let example = names.first().map_or_else(String::new, |first| {
                let element = option.element.clone().or_else(|| singular(first));
                let element = element.map_or_else(|| "element".to_owned(), |it| it.to_string());
                format!("`batch = {element} in {first}`")
            });
            let message =
                format!("each of {} could be the batch; say which, as in {example}", list(&names));
            mistakes.at_span(option.span, message);
            None
        }
    }
}

/// `id` for `ids`, at the argument's place.
fn element_of(batch: &Candidate<'_>, mistakes: &mut Mistakes) -> Option<Ident> {
    let name = &batch.pattern.ident;
    let element = singular(name);
    if element.is_none() {
        let message = format!(
            "there is no telling how an element of `{name}` is called: name it, as in `batch = id`"
        );
        mistakes.at(name, message);
    }
    element
}

/// The name without its final `s`.
fn singular(name: &Ident) -> Option<Ident> {
    let text = name.unraw().to_string();
    let text = text.strip_suffix('s').filter(|text| !text.trim_matches('_').is_empty())?;
    let is_keyword = syn::parse_str::<Ident>(text).is_err();
    Some(if is_keyword { Ident::new_raw(text, name.span()) } else { Ident::new(text, name.span()) })
}

fn without_lifetime(ty: &Type) -> Type {
    match ty {
        Type::Reference(reference) => {
            Type::Reference(TypeReference { lifetime: None, ..reference.clone() })
        }
        Type::Group(group) => without_lifetime(&group.elem),
        Type::Paren(paren) => without_lifetime(&paren.elem),
        other => other.clone(),
    }
}

/// The body has a variable of its own for the batch, so the signature's `mut` would be unused.
fn immutable(function: &mut ItemFn, name: &Ident) {
    for argument in &mut function.sig.inputs {
        if let FnArg::Typed(typed) = argument
            && let Pat::Ident(pattern) = &mut *typed.pat
            && pattern.ident == *name
        {
            pattern.mutability = None;
        }
    }
}
