//! Attribute tokens to options: syntax only, and every option keeps its tokens.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, Type};

use crate::diag::{Mistakes, did_you_mean, list};

/// What was written, each option at most once.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Expr>,
    pub(crate) tags: Option<Expr>,
    pub(crate) vary_on: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) key_name: Option<Expr>,
    pub(crate) cache_name: Option<Expr>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) jitter: Option<Expr>,
    pub(crate) codec: Option<Type>,
}

const NAMES: [&str; 9] = [
    "timeout",
    "tags",
    "vary_on",
    "version",
    "key_name",
    "cache_name",
    "cache_if",
    "jitter",
    "codec",
];

impl Options {
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Options {
        let parse = |input: ParseStream<'_>| {
            let mut options = Options::default();
            while !input.is_empty() {
                if let Err(error) = options.parse_one(input) {
                    mistakes.add(error);
                    skip_option(input);
                }
                if !input.is_empty() {
                    let comma: syn::Result<Token![,]> = input.parse();
                    if let Err(error) = comma {
                        mistakes.add(error);
                        skip_option(input);
                        let _: Option<Token![,]> = input.parse()?;
                    }
                }
            }
            Ok(options)
        };
        let parsed = parse.parse2(tokens);
        mistakes.keep(parsed).unwrap_or_default()
    }

    fn parse_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let name = input.call(Ident::parse_any)?;
        let written = name.to_string();
        if !NAMES.contains(&written.as_str()) {
            let hint = did_you_mean(&written, &NAMES);
            let hint =
                if hint.is_empty() { format!("; the options are {}", list(&NAMES)) } else { hint };
            return Err(syn::Error::new(name.span(), format!("unknown option `{written}`{hint}")));
        }
        if !input.peek(Token![=]) {
            let message = format!("`{written}` needs a value: write `{written} = …`");
            return Err(syn::Error::new(name.span(), message));
        }
        input.parse::<Token![=]>()?;
        match written.as_str() {
            "timeout" => set(&mut self.timeout, &name, input.parse()?),
            "tags" => set(&mut self.tags, &name, input.parse()?),
            "vary_on" => set(&mut self.vary_on, &name, input.parse()?),
            "version" => set(&mut self.version, &name, input.parse()?),
            "key_name" => set(&mut self.key_name, &name, input.parse()?),
            "cache_name" => set(&mut self.cache_name, &name, input.parse()?),
            "cache_if" => set(&mut self.cache_if, &name, input.parse()?),
            "jitter" => set(&mut self.jitter, &name, input.parse()?),
            _ => set(&mut self.codec, &name, input.parse()?),
        }
    }
}

fn set<T>(option: &mut Option<T>, name: &Ident, value: T) -> syn::Result<()> {
    if option.is_some() {
        let message = format!("`{name}` is given twice; keep one of them");
        return Err(syn::Error::new(name.span(), message));
    }
    *option = Some(value);
    Ok(())
}

/// Leaves out the rest of an option that could not be read, up to its comma.
fn skip_option(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}
