//! Options and a signature to a [`CachedFn`], which is valid if it exists.

use proc_macro2::{Ident, Span};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{Expr, ExprLit, ExprUnary, ItemFn, Lit, LitStr, Type, UnOp};

use crate::diag::{Mistakes, did_you_mean, list};
use crate::options::{Options, elements, example, name, ungrouped};
use crate::signature::{self, Future};
use crate::template::Template;

mod batch;
mod grace;
mod late;

pub(crate) use batch::Batch;
pub(crate) use grace::{Ahead, Grace, GraceOptions};
pub(crate) use late::{LateOptions, LateTags};

/// A function to cache, and how.
pub(crate) struct CachedFn {
    pub(crate) function: ItemFn,
    pub(crate) future: Future,
    /// What the future resolves to.
    pub(crate) output: Type,
    pub(crate) vary_on: Vec<Expr>,
    pub(crate) tags: Vec<TagSource>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) timeout_none: Option<Timeout>,
    pub(crate) version: Option<String>,
    pub(crate) key_name: Option<LitStr>,
    pub(crate) cache_name: Option<LitStr>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) late: LateTags,
    pub(crate) cache_err: Option<Expr>,
    pub(crate) jitter: Option<f64>,
    pub(crate) grace: Option<Grace>,
    pub(crate) near: Near,
    /// May `prime` give it an output?
    pub(crate) is_primable: bool,
    /// Does one process run for all that miss?
    pub(crate) is_leased: bool,
    pub(crate) codec: Option<Type>,
    pub(crate) batch: Option<Batch>,
}

/// Whether values may be kept in the near tier.
pub(crate) enum Near {
    No,
    /// If their type can.
    IfPossible,
    /// It is an error if their type cannot.
    Surely,
}

pub(crate) enum TagSource {
    Template(Template),
    Expression(Expr),
}

pub(crate) enum Timeout {
    Seconds(u64),
    Expression(Expr),
    /// A closure that the value is given to.
    OfValue(Expr),
}

/// What the options may refer to.
struct Arguments {
    function: Ident,
    names: Vec<Ident>,
    has_receiver: bool,
    /// The batch, and its element, which stands in its place.
    batch: Option<(Ident, Ident)>,
    /// Are there more names, which nobody knows?
    are_some_unknown: bool,
}

impl CachedFn {
    pub(crate) fn new(
        options: Options,
        mut function: ItemFn,
        mistakes: &mut Mistakes,
    ) -> Option<CachedFn> {
        // Of a `vary_on` that could not be read, the mistake in it says enough.
        let are_options_read = mistakes.is_empty();
        let is_batch = options.batch.is_some();
        let batch = options.batch.and_then(|it| Batch::find(it, &mut function, mistakes));
        let arguments = Arguments::of(&function, is_batch, batch.as_ref());
        let output = output(&function, is_batch, mistakes);
        let vary_on = match options.vary_on {
            Some(written) => arguments.vary_on(written, mistakes),
            None if are_options_read => arguments.all(mistakes),
            None => Vec::new(),
        };
        let tags = options.tags.map(|written| arguments.tags(written, mistakes));
        let timeout = options.timeout.and_then(|written| mistakes.keep(timeout(written)));
        let timeout_none =
            options.timeout_none.and_then(|written| mistakes.keep(timeout_none(written)));
        let version = options.version.and_then(|written| mistakes.keep(version(written)));
        let key_name = options
            .key_name
            .and_then(|written| mistakes.keep(name::<Options>("key_name", written)));
        let cache_name = options
            .cache_name
            .and_then(|written| mistakes.keep(name::<Options>("cache_name", written)));
        let jitter = options.jitter.and_then(|written| mistakes.keep(jitter(written)));
        let near = options.near.and_then(|written| mistakes.keep(near(written, is_batch)));
        let lease = options.lease.and_then(|written| mistakes.keep(lease(written, is_batch)));
        let cache_if = options.cache_if.and_then(|written| mistakes.keep(cache_if(written)));
        let cache_err =
            options.cache_err.and_then(|written| mistakes.keep(cache_err(written, is_batch)));
        let grace = Grace::new(options.grace, &function, is_batch, mistakes);
        let is_kept_otherwise = grace.is_some()
            || cache_err.is_some()
            || timeout_none.is_some()
            || matches!(timeout, Some(Timeout::OfValue(_)));
        let late = LateTags::new(options.late_tags, is_batch, is_kept_otherwise, mistakes);
        let (future, output) = output?;
        if is_batch && batch.is_none() {
            return None;
        }
        // What might borrow would have to be bound to live for ever, by a user who has no use for it.
        let may_borrow = match cache_err {
            Some(_) => signature::may_borrow(&function.sig, &output),
            None => signature::may_value_borrow(&function.sig, &output),
        };
        let by_itself = match is_batch || may_borrow {
            true => Near::No,
            false => Near::IfPossible,
        };
        let is_primable = !signature::may_borrow(&function.sig, &output)
            && !signature::has_associated_type(&output);
        let near = near.unwrap_or(by_itself);
        Some(CachedFn {
            function,
            future,
            output,
            vary_on,
            tags: tags.unwrap_or_default(),
            timeout,
            timeout_none,
            version,
            key_name,
            cache_name,
            cache_if,
            late,
            cache_err,
            jitter,
            grace,
            near,
            is_primable,
            is_leased: lease.unwrap_or(!is_batch),
            codec: options.codec,
            batch,
        })
    }
}

fn output(function: &ItemFn, is_batch: bool, mistakes: &mut Mistakes) -> Option<(Future, Type)> {
    let signature = &function.sig;
    let Some((future, output)) = signature::output(signature) else {
        mistakes.at(
            signature.fn_token,
            format!("only async functions can be cached; write `async fn {}`", signature.ident),
        );
        return None;
    };
    if let Some(opaque) = signature::opaque_part(&output) {
        mistakes.at(opaque, "a cached function cannot return `impl Trait`, for it must be read back as the same type; name the type");
        return None;
    }
    let borrowed = match is_batch {
        true => signature::borrowed_value_of_map(&output),
        false => signature::borrowed_value(&output),
    };
    if let Some(borrowed) = borrowed {
        mistakes.at(borrowed, "a cached function cannot return a borrowed value, for what is read from the store belongs to nobody else; return an owned one, such as `String` or `Vec<T>`");
        return None;
    }
    Some((future, output))
}

impl Arguments {
    fn of(function: &ItemFn, is_batch: bool, batch: Option<&Batch>) -> Self {
        let names = signature::bindings(&function.sig).into_iter();
        let names = names.map(|name| match batch {
            Some(batch) if batch.pattern.ident == name => batch.element.clone(),
            _ => name,
        });
        Arguments {
            function: function.sig.ident.clone(),
            names: names.collect(),
            has_receiver: function.sig.receiver().is_some(),
            batch: batch.map(|batch| (batch.pattern.ident.clone(), batch.element.clone())),
            are_some_unknown: is_batch && batch.is_none(),
        }
    }

    /// No `vary_on`: the result depends on all arguments. What a receiver holds is another matter.
    fn all(&self, mistakes: &mut Mistakes) -> Vec<Expr> {
        if self.has_receiver {
            let example: Vec<String> = ["self.id".to_owned()]
                .into_iter()
                .chain(self.names.iter().map(ToString::to_string))
                .collect();
            mistakes.at(
                &self.function,
                format!(
                    "a method must say what its result depends on: write `vary_on = [{}]` with the fields of \
                     `self` and the arguments that matter, or `vary_on = []` if there are none",
                    example.join(", ")
                ),
            );
        }
        let names = self.names.iter().filter(|name| !self.is_element(name));
        names.map(|name| syn::parse_quote!(#name)).collect()
    }

    /// An element is a part of its entry's key whatever `vary_on` says.
    fn is_element(&self, name: &Ident) -> bool {
        self.batch.as_ref().is_some_and(|(_, element)| element == name)
    }

    fn vary_on(&self, written: Expr, mistakes: &mut Mistakes) -> Vec<Expr> {
        let mut paths = mistakes.keep(elements::<Options>("vary_on", written)).unwrap_or_default();
        for path in &paths {
            match root(path) {
                Some(root) => self.check(root, root.span(), mistakes),
                None => mistakes.at(
                    path,
                    "`vary_on` takes arguments and paths into them, such as `user_id`, `user.id` or `self.0`",
                ),
            }
        }
        paths.retain(|path| {
            !matches!(path, Expr::Path(_)) || !root(path).is_some_and(|root| self.is_element(root))
        });
        paths
    }

    fn tags(&self, written: Expr, mistakes: &mut Mistakes) -> Vec<TagSource> {
        let written = mistakes.keep(elements::<Options>("tags", written)).unwrap_or_default();
        let tags = written.into_iter().filter_map(|element| mistakes.keep(tag_source(element)));
        let mut tags: Vec<TagSource> = tags.collect();
        for tag in &mut tags {
            if let TagSource::Template(template) = tag {
                let span = template.literal.span();
                for root in template.roots_mut() {
                    match self.names.iter().find(|name| *name == root) {
                        // Of a function that `macro_rules!` writes, the template may come from
                        // one side and the argument from the other.
                        Some(argument) => root.set_span(span.resolved_at(argument.span())),
                        None => self.check(root, span, mistakes),
                    }
                }
            }
        }
        tags
    }

    /// Is this the name of an argument?
    fn check(&self, name: &Ident, span: Span, mistakes: &mut Mistakes) {
        let Arguments { function, names, has_receiver, .. } = self;
        if name == "self" {
            if !has_receiver {
                mistakes.at_span(span, format!("`{function}` has no `self`: it is not a method"));
            }
            return;
        }
        if self.are_some_unknown || names.iter().any(|known| known == name) {
            return;
        }
        if let Some((batch, element)) = &self.batch
            && batch == name
        {
            let message = format!(
                "`{batch}` is the whole batch, and each of its elements has an entry of its own: write `{element}`"
            );
            return mistakes.at_span(span, message);
        }
        let known = match names.as_slice() {
            [] => format!("`{function}` has no arguments with a name"),
            [only] => format!("its argument is `{only}`"),
            names => format!("its arguments are {}", list(names)),
        };
        let is_hidden = |name: &Ident| name.to_string().starts_with("__arg");
        let hint = match did_you_mean(&name.unraw().to_string(), names) {
            Some(hint) => format!("; {hint}"),
            None if names.iter().any(is_hidden) => {
                "; `#[async_trait]` hides the names in a pattern: take the argument whole, \
                 and write a path into it, such as `pair.0`"
                    .to_owned()
            }
            None if *has_receiver => format!("; for a field, write `self.{name}`"),
            None => match &self.batch {
                Some((batch, element)) => format!("; `{element}` is an element of `{batch}`"),
                None => String::new(),
            },
        };
        mistakes
            .at_span(span, format!("`{name}` is not an argument of `{function}`: {known}{hint}"));
    }
}

/// An element of a list of tags: a template, or an expression that is `Into<Tag>`.
pub(crate) fn tag_source(element: Expr) -> syn::Result<TagSource> {
    match ungrouped(element) {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => {
            Template::parse(literal).map(TagSource::Template)
        }
        Expr::Lit(other) => Err(syn::Error::new_spanned(
            other,
            "a tag is a template such as \"User:<user_id>\", or an expression such as `Tag::new(\"User\", user_id)`",
        )),
        expression => Ok(TagSource::Expression(expression)),
    }
}

/// The variable that a path such as `user.id` begins with; `None` if it is no such path.
fn root(path: &Expr) -> Option<&Ident> {
    match path {
        Expr::Path(path) if path.attrs.is_empty() => path.path.get_ident(),
        Expr::Field(field) => root(&field.base),
        _ => None,
    }
}

/// A time, or a closure that gives one for the value.
fn timeout(written: Expr) -> syn::Result<Timeout> {
    let written = ungrouped(written);
    match &written {
        Expr::Closure(closure) if closure.inputs.len() == 1 => Ok(Timeout::OfValue(written)),
        Expr::Closure(closure) => {
            let message = "`timeout` takes a time, or a closure of the value that gives one, as in \
                           `timeout = |value| if value.is_final { 86_400 } else { 60 }`";
            Err(syn::Error::new_spanned(&closure.inputs, message))
        }
        _ => time("timeout", written),
    }
}

/// A time for `None`. With none at all, it is not cached.
fn timeout_none(written: Expr) -> syn::Result<Timeout> {
    time("timeout_none", ungrouped(written))
}

/// Seconds, or an expression that is no literal.
fn time(option: &str, written: Expr) -> syn::Result<Timeout> {
    let problem = match &written {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) => match seconds.base10_parse() {
            Ok(0) => {
                let message = match option {
                    "timeout" => {
                        "`timeout = 0` would never cache anything; leave the attribute off, or give a time"
                    }
                    "timeout_none" => {
                        "`timeout_none = 0` would never cache `None`; write `cache_if = Option::is_some`, or give a time"
                    }
                    _ => "no time at all; leave this off, or give one",
                };
                return Err(syn::Error::new(seconds.span(), message));
            }
            Ok(seconds) => return Ok(Timeout::Seconds(seconds)),
            Err(_) => format!("`{seconds}` is not a timeout"),
        },
        Expr::Closure(_) => format!("only `timeout` can depend on the value, and not `{option}`"),
        Expr::Lit(literal) => format!("`{}` is not a timeout", literal.to_token_stream()),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => {
            "a timeout cannot be negative".to_owned()
        }
        _ => return Ok(Timeout::Expression(written)),
    };
    let message = format!(
        "{problem}; write whole seconds, as in {}, or a `Duration`, as in \
         `{option} = std::time::Duration::from_millis(500)`",
        example::<Options>(option)
    );
    Err(syn::Error::new_spanned(written, message))
}

fn version(written: Expr) -> syn::Result<String> {
    match ungrouped(written) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.value()),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(number.base10_digits().to_owned()),
        other => Err(syn::Error::new_spanned(
            other,
            "`version` takes a literal string or integer, as in `version = 2` or `version = \"2026-11\"`",
        )),
    }
}

fn jitter(written: Expr) -> syn::Result<f64> {
    let written = ungrouped(written);
    let share = match &written {
        Expr::Lit(ExprLit { lit: Lit::Float(share), .. }) => share.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(share), .. }) => share.base10_parse().ok(),
        _ => None,
    };
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
        let message = format!(
            "`jitter` is the share of the timeout to take off at random, from 0.0 to 1.0, as in {}",
            example::<Options>("jitter")
        );
        syn::Error::new_spanned(written, message)
    })
}

fn near(written: Expr, is_batch: bool) -> syn::Result<Near> {
    match ungrouped(written) {
        Expr::Lit(ExprLit { lit: Lit::Bool(is_near), .. }) if is_near.value && is_batch => {
            let message = "the near tier keeps no elements of a batch; leave `near` off";
            Err(syn::Error::new(is_near.span, message))
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(is_near), .. }) if is_near.value => Ok(Near::Surely),
        Expr::Lit(ExprLit { lit: Lit::Bool(_), .. }) => Ok(Near::No),
        other => {
            let message = "`near` is `false`, to keep this function out of the near tier, or `true`, to have \
                           its type checked for it";
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

fn lease(written: Expr, is_batch: bool) -> syn::Result<bool> {
    match ungrouped(written) {
        Expr::Lit(ExprLit { lit: Lit::Bool(is_leased), .. }) if is_leased.value && is_batch => {
            let message = "a batch takes no leases: its elements are asked of Redis all at once; leave `lease` off";
            Err(syn::Error::new(is_leased.span, message))
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(is_leased), .. }) => Ok(is_leased.value),
        other => {
            let message = "`lease` is `false`, to let each process run that misses, or `true`, which is the default";
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// What is surely no condition; the rest is checked by its type.
fn cache_if(written: Expr) -> syn::Result<Expr> {
    function_of_one(written, || {
        format!(
            "`cache_if` takes a function of the value, as in {} or `cache_if = Option::is_some`",
            example::<Options>("cache_if")
        )
    })
}

/// What is surely no function of one parameter is answered by this message.
fn function_of_one(written: Expr, message: impl Fn() -> String) -> syn::Result<Expr> {
    let problem = match &written {
        Expr::Lit(_) => &written as &dyn quote::ToTokens,
        Expr::Closure(closure) if closure.inputs.len() != 1 => &closure.inputs,
        _ => return Ok(written),
    };
    Err(syn::Error::new_spanned(problem, message()))
}

/// What surely chooses no errors; the rest is checked by its type.
fn cache_err(written: Expr, is_batch: bool) -> syn::Result<Expr> {
    if is_batch {
        let message =
            "an error of a batch is about no element, so it is not cached; leave `cache_err` off";
        return Err(syn::Error::new_spanned(written, message));
    }
    function_of_one(written, || {
        format!(
            "`cache_err` takes a function of the error that says for how long to keep it, or `None`, as in {}",
            example::<Options>("cache_err")
        )
    })
}
