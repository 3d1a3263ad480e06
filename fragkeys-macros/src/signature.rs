//! What can be read off a function's signature: arguments, and the type that it resolves to.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens as _;
use syn::visit::{self, Visit};
use syn::{
    FnArg, GenericArgument, Lifetime, PatIdent, Path, PathArguments, ReceiverKind, ReturnType,
    Signature, Type, TypeImplTrait, TypeParam, TypeParamBound, TypePath, TypeReference,
    WherePredicate,
};

/// How the function gives its future.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Future {
    /// `async fn`.
    Async,
    /// `fn … -> Pin<Box<dyn Future<Output = T>>>`, as `#[async_trait]` writes it.
    Boxed,
    /// `fn … -> impl Future<Output = T>`.
    Opaque,
}

/// The names that the arguments' patterns bind, in order; without the receiver.
pub(crate) fn bindings(signature: &Signature) -> Vec<Ident> {
    struct Bindings(Vec<Ident>);
    impl<'a> Visit<'a> for Bindings {
        fn visit_pat_ident(&mut self, pattern: &'a PatIdent) {
            // A name in capitals is a constant or a unit variant, which binds nothing.
            if !pattern.ident.to_string().starts_with(char::is_uppercase) {
                self.0.push(pattern.ident.clone());
            }
            visit::visit_pat_ident(self, pattern);
        }
    }
    let mut bindings = Bindings(Vec::new());
    for argument in &signature.inputs {
        if let FnArg::Typed(typed) = argument {
            bindings.visit_pat(&typed.pat);
        }
    }
    bindings.0
}

/// How the function gives its future, and the type of what that resolves to.
pub(crate) fn output(signature: &Signature) -> Option<(Future, Type)> {
    let unit = || syn::parse_quote!(());
    let returned = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, returned) => Some(&**returned),
    };
    if signature.asyncness.is_some() {
        return Some((Future::Async, returned.cloned().unwrap_or_else(unit)));
    }
    match returned? {
        Type::ImplTrait(opaque) => {
            future_output(opaque.bounds.iter()).map(|output| (Future::Opaque, output))
        }
        // `futures` and others name the type so.
        Type::Path(boxed) if boxed.path.segments.last()?.ident == "BoxFuture" => {
            first_argument(boxed).cloned().map(|output| (Future::Boxed, output))
        }
        Type::Path(pinned) => {
            let boxed = sole_argument(pinned, "Pin")?;
            let Type::Path(boxed) = boxed else { return None };
            let Type::TraitObject(object) = sole_argument(boxed, "Box")? else { return None };
            future_output(object.bounds.iter()).map(|output| (Future::Boxed, output))
        }
        _ => None,
    }
}

fn sole_argument<'a>(path: &'a TypePath, name: &str) -> Option<&'a Type> {
    let last = path.path.segments.last()?;
    if last.ident != name {
        return None;
    }
    first_argument(path)
}

/// The first type in the brackets of a path's last segment.
fn first_argument(path: &TypePath) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    })
}

fn future_output<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<Type> {
    bounds
        .filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => bound.path.segments.last(),
            _ => None,
        })
        .filter(|segment| segment.ident == "Future")
        .find_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::AssocType(output) if output.ident == "Output" => {
                        Some(output.ty.clone())
                    }
                    _ => None,
                })
            }
            _ => None,
        })
}

/// A borrowed type in the place of the value: the type itself, or its first argument, as in
/// `Result<&str, E>`. The error of a `Result` is not stored and may borrow.
pub(crate) fn borrowed_value(output: &Type) -> Option<&Type> {
    match output {
        Type::Reference(_) => Some(output),
        Type::Path(path) => first_argument(path).and_then(borrowed_value),
        Type::Paren(inner) => borrowed_value(&inner.elem),
        Type::Group(inner) => borrowed_value(&inner.elem),
        Type::Array(array) => borrowed_value(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(borrowed_value),
        _ => None,
    }
}

/// The same in the values of a map. What it is asked for by is not stored and may borrow.
pub(crate) fn borrowed_value_of_map(output: &Type) -> Option<&Type> {
    let Type::Path(path) = output else { return None };
    let last = path.path.segments.last()?;
    if last.ident != "HashMap" && last.ident != "BTreeMap" {
        return first_argument(path).and_then(borrowed_value_of_map);
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.iter().filter(|it| !matches!(it, GenericArgument::Lifetime(_))).nth(1)? {
        GenericArgument::Type(value) => borrowed_value(value),
        _ => None,
    }
}

/// An `impl Trait` somewhere in a type.
pub(crate) fn opaque_part(output: &Type) -> Option<&TypeImplTrait> {
    struct Opaque<'a>(Option<&'a TypeImplTrait>);
    impl<'a> Visit<'a> for Opaque<'a> {
        fn visit_type_impl_trait(&mut self, opaque: &'a TypeImplTrait) {
            self.0 = self.0.or(Some(opaque));
        }
    }
    let mut found = Opaque(None);
    found.visit_type(output);
    found.0
}

/// A boxed future's type that lives for as long as what it borrows, whatever that is.
pub(crate) fn of_any_lifetime(returned: &ReturnType) -> ReturnType {
    let mut returned = returned.clone();
    if let ReturnType::Type(_, boxed) = &mut returned {
        loosen(boxed);
    }
    returned
}

fn loosen(boxed: &mut Type) {
    let any: Lifetime = syn::parse_quote!('_);
    match boxed {
        Type::TraitObject(object) => {
            let others = std::mem::take(&mut object.bounds).into_iter();
            let others = others.filter(|bound| !matches!(bound, TypeParamBound::Lifetime(_)));
            object.bounds = others.chain([TypeParamBound::Lifetime(any)]).collect();
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last_mut() else { return };
            let is_pointer = last.ident == "Pin" || last.ident == "Box";
            let PathArguments::AngleBracketed(arguments) = &mut last.arguments else { return };
            for argument in &mut arguments.args {
                match argument {
                    GenericArgument::Lifetime(lifetime) => *lifetime = any.clone(),
                    GenericArgument::Type(pointee) if is_pointer => loosen(pointee),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// As [`may_borrow`], of what of an output is the value: all of it but the error of a `Result`.
pub(crate) fn may_value_borrow(signature: &Signature, output: &Type) -> bool {
    may_borrow(signature, value(output))
}

/// Is there something like `Self::Error` in it? In a trait, nobody knows what that borrows.
pub(crate) fn has_associated_type(output: &Type) -> bool {
    struct Associated(bool);
    impl<'a> Visit<'a> for Associated {
        fn visit_type_path(&mut self, path: &'a TypePath) {
            let is_type =
                |first: &syn::PathSegment| first.ident.to_string().starts_with(char::is_uppercase);
            let segments = &path.path.segments;
            self.0 |= path.qself.is_some()
                || (segments.len() > 1 && segments.first().is_some_and(is_type));
            visit::visit_type_path(self, path);
        }
    }
    let mut associated = Associated(false);
    associated.visit_type(output);
    associated.0
}

/// Might it hold what does not live for ever? A type parameter that is not bound to, or a
/// lifetime. Those of an `impl` block cannot be seen here, but for the custom to give parameters
/// a single letter.
pub(crate) fn may_borrow(signature: &Signature, output: &Type) -> bool {
    struct Parts<'a> {
        signature: &'a Signature,
        may_borrow: bool,
    }
    impl<'a> Visit<'a> for Parts<'a> {
        fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
            self.may_borrow |= lifetime.ident != "static";
        }

        fn visit_path(&mut self, path: &'a Path) {
            if let Some(first) = path.segments.first()
                && path.leading_colon.is_none()
                && first.arguments.is_none()
            {
                self.may_borrow |= match type_parameter(self.signature, &first.ident) {
                    Some(parameter) => !is_static(self.signature, parameter),
                    None => first.ident.to_string().len() == 1,
                };
            }
            // `Cow<str>` does not show that it has one.
            if let Some(last) = path.segments.last()
                && last.ident == "Cow"
            {
                let is_lifetime = |it: &_| matches!(it, GenericArgument::Lifetime(_));
                self.may_borrow |= match &last.arguments {
                    PathArguments::AngleBracketed(given) => !given.args.iter().any(is_lifetime),
                    _ => true,
                };
            }
            visit::visit_path(self, path);
        }
    }
    let mut parts = Parts { signature, may_borrow: false };
    parts.visit_type(output);
    parts.may_borrow
}

/// An argument that may hold what does not live for ever; of a method, `self` is one.
pub(crate) fn borrowed_argument(signature: &Signature) -> Option<TokenStream> {
    struct References(bool);
    impl<'a> Visit<'a> for References {
        fn visit_type_reference(&mut self, reference: &'a TypeReference) {
            self.0 |= reference.lifetime.is_none();
            visit::visit_type_reference(self, reference);
        }

        fn visit_type_impl_trait(&mut self, _: &'a TypeImplTrait) {
            self.0 = true;
        }
    }
    let borrows = |ty: &Type| {
        let mut references = References(false);
        references.visit_type(ty);
        references.0 || may_borrow(signature, ty)
    };
    signature.inputs.iter().find_map(|argument| match argument {
        FnArg::Receiver(receiver) => {
            let is_borrowed = match &receiver.kind {
                ReceiverKind::Value => false,
                ReceiverKind::Typed(_, ty) => borrows(ty),
                // `&self`, and what else there may be one day.
                _ => true,
            };
            is_borrowed.then(|| receiver.to_token_stream())
        }
        FnArg::Typed(typed) if borrows(&typed.ty) => Some(typed.ty.to_token_stream()),
        _ => None,
    })
}

/// What of an output is the value: of a `Result`, its first argument.
fn value(output: &Type) -> &Type {
    match output {
        Type::Path(path) => sole_argument(path, "Result").unwrap_or(output),
        Type::Paren(inner) => value(&inner.elem),
        Type::Group(inner) => value(&inner.elem),
        _ => output,
    }
}

fn type_parameter<'a>(signature: &'a Signature, name: &Ident) -> Option<&'a TypeParam> {
    signature.generics.type_params().find(|parameter| parameter.ident == *name)
}

/// Is a type parameter bound to live for ever?
fn is_static(signature: &Signature, parameter: &TypeParam) -> bool {
    let is_static = |bound: &TypeParamBound| matches!(bound, TypeParamBound::Lifetime(it) if it.ident == "static");
    let clauses = signature.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let of_parameter = clauses.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => match &predicate.bounded_ty {
            Type::Path(path) if path.path.is_ident(&parameter.ident) => Some(&predicate.bounds),
            _ => None,
        },
        _ => None,
    });
    parameter.bounds.iter().chain(of_parameter.flatten()).any(is_static)
}
