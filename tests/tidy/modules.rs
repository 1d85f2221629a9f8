//! The crates of the workspace as syn reads them: which file uses which, and how large its types and functions are.
//!
//! Only what is shipped is read: no tests. Names are followed through `use` and re-exports to the file that has the item, the way
//! rustc does it; a re-export alone uses nothing. Calls of methods name no file and are not followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Block, Field, ImplItem, Item, ItemImpl, ItemMod, ItemUse, Macro, Path, Signature,
    Type, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::tree::sources;

/// The folders of the crates that are shipped.
const CRATES: [&str; 5] = ["protocol/src/", "settings/src/", "ipc/src/", "workers/src/", "src/"];

/// As many re-exports as a name is followed through.
const RESOLVE_STEPS_MAX: usize = 16;

/// The path of a module from the root of its crate.
type ModulePath = Vec<String>;

/// What is known of all crates together.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) arrows: BTreeSet<Arrow>,
    pub(crate) functions: Vec<Function>,
    pub(crate) structs: Vec<Struct>,
    /// The methods of each type, in all `impl` blocks of it: the file of the type and its name, and how many there are.
    pub(crate) methods: BTreeMap<(String, String), usize>,
}

/// One file uses another one of the same crate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    /// From its head to its closing brace.
    pub(crate) lines: usize,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) fields: usize,
}

/// All crates that are shipped.
pub(crate) fn workspace() -> &'static Workspace {
    static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
    WORKSPACE.get_or_init(|| {
        let mut workspace = Workspace::default();
        for folder in CRATES {
            read_crate(folder, &mut workspace);
        }
        workspace
    })
}

fn read_crate(folder: &str, workspace: &mut Workspace) {
    let mut modules = Modules::default();
    let mut readers = Vec::new();
    for source in sources().iter().filter(|source| source.is_shipped) {
        let Some(below) = source.path.strip_prefix(folder) else { continue };
        let mut module: ModulePath =
            below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("lib" | "mod")) {
            module.pop();
        }
        let file = syn::parse_file(&source.text).expect("what is compiled can be parsed");
        let mut reader = Reader::new(&source.path, module, &mut modules);
        reader.visit_file(&file);
        readers.push((source.path.clone(), reader.found));
    }
    for (path, found) in readers {
        for (module, segments) in found.references {
            if let Some(to) = modules.file_of(&module, &segments, RESOLVE_STEPS_MAX)
                && to != path
            {
                workspace.arrows.insert(Arrow { from: path.clone(), to });
            }
        }
        for (module, segments, methods) in found.impls {
            let file = modules.file_of(&module, &segments, RESOLVE_STEPS_MAX);
            let name = segments.last().cloned().unwrap_or_default();
            // A foreign type has no methods of ours but those of our traits.
            if let Some(file) = file {
                *workspace.methods.entry((file, name)).or_default() += methods;
            }
        }
        workspace.functions.extend(found.functions);
        workspace.structs.extend(found.structs);
    }
}

/// What names mean in each module of a crate.
#[derive(Debug, Default)]
struct Modules(BTreeMap<ModulePath, Module>);

#[derive(Debug, Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    /// What `use` gives a name to.
    names: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

impl Modules {
    /// The file that has what this path names in this module; `None` for what is of another crate.
    fn file_of(&self, module: &[String], segments: &[String], steps: usize) -> Option<String> {
        let steps = steps.checked_sub(1)?;
        let mut at = module.to_vec();
        let mut rest = segments;
        let mut is_anchored = false;
        while let [first, behind @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            (rest, is_anchored) = (behind, true);
        }
        let here = self.0.get(&at)?;
        let [name, behind @ ..] = rest else { return Some(here.file.clone()) };
        let mut child = at.clone();
        child.push(name.clone());
        if self.0.contains_key(&child) {
            return self.below(&child, behind, steps);
        }
        if here.items.contains(name) {
            return Some(here.file.clone());
        }
        if let Some(target) = here.names.get(name) {
            let whole: Vec<String> = target.iter().chain(behind).cloned().collect();
            // `use bytes::Bytes` and the like: a name does not lead back to itself.
            return if whole == segments { None } else { self.file_of(&at, &whole, steps) };
        }
        for glob in &here.globs {
            let whole: Vec<String> = glob.iter().chain(rest).cloned().collect();
            if let Some(file) = self.file_of(&at, &whole, steps) {
                return Some(file);
            }
        }
        is_anchored.then(|| here.file.clone())
    }

    fn below(&self, module: &[String], segments: &[String], steps: usize) -> Option<String> {
        let anchored: Vec<String> =
            std::iter::once("self".to_owned()).chain(segments.iter().cloned()).collect();
        self.file_of(module, &anchored, steps)
    }
}

/// What one file says, before names are followed.
#[derive(Debug, Default)]
struct Found {
    references: Vec<(ModulePath, Vec<String>)>,
    impls: Vec<(ModulePath, Vec<String>, usize)>,
    functions: Vec<Function>,
    structs: Vec<Struct>,
}

struct Reader<'a> {
    path: &'a str,
    module: ModulePath,
    modules: &'a mut Modules,
    found: Found,
}

impl<'a> Reader<'a> {
    fn new(path: &'a str, module: ModulePath, modules: &'a mut Modules) -> Self {
        modules.0.entry(module.clone()).or_default().file = path.to_owned();
        Self { path, module, modules, found: Found::default() }
    }

    fn here(&mut self) -> &mut Module {
        self.modules.0.entry(self.module.clone()).or_default()
    }

    fn refer(&mut self, segments: Vec<String>) {
        self.found.references.push((self.module.clone(), segments));
    }

    fn take_use(&mut self, prefix: &[String], tree: &UseTree, is_used: bool) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        let (name, target) = match tree {
            UseTree::Path(path) => {
                return self.take_use(&with(path.ident.to_string()), &path.tree, is_used);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take_use(prefix, tree, is_used));
            }
            UseTree::Glob(_) => {
                self.here().globs.push(prefix.to_vec());
                return self.refer(prefix.to_vec());
            }
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.last().cloned().unwrap_or_default(), prefix.to_vec())
            }
            UseTree::Name(name) => (name.ident.to_string(), with(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "self" => {
                (rename.rename.to_string(), prefix.to_vec())
            }
            UseTree::Rename(rename) => (rename.rename.to_string(), with(rename.ident.to_string())),
        };
        if is_used {
            self.refer(target.clone());
        }
        self.here().names.insert(name, target);
    }

    fn take_function(&mut self, signature: &Signature, body: &Block) {
        let line = signature.fn_token.span.start().line;
        let lines = body.brace_token.span.close().end().line - line + 1;
        let name = signature.ident.to_string();
        let path = self.path.to_owned();
        self.found.functions.push(Function { path, line, name, lines });
    }

    /// Paths in what is given to a macro: each chain of names with `::` between them.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut chain: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if chain.is_empty() || colons == 2 => {
                    chain.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !chain.is_empty() => {
                    colons += 1;
                }
                other => {
                    self.take_chain(&mut chain);
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.take_tokens(group.stream()),
                        TokenTree::Ident(ident) => chain.push(ident.to_string()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.take_chain(&mut chain);
    }

    fn take_chain(&mut self, chain: &mut Vec<String>) {
        let chain = std::mem::take(chain);
        if chain.iter().any(|name| !matches!(name.as_str(), "crate" | "self" | "super")) {
            self.refer(chain);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = head_of(item);
        if is_for_tests(attributes) {
            return;
        }
        if let Some(name) = name {
            self.here().items.insert(name);
        }
        if let Item::Struct(item) = item {
            let (path, line) = (self.path.to_owned(), item.ident.span().start().line);
            let is_real = |field: &&Field| !is_for_tests(&field.attrs);
            let fields = item.fields.iter().filter(is_real).count();
            self.found.structs.push(Struct { path, line, name: item.ident.to_string(), fields });
        }
        if let Item::Fn(item) = item {
            self.take_function(&item.sig, &item.block);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(item) = item {
            if is_for_tests(&item.attrs) {
                return;
            }
            self.take_function(&item.sig, &item.block);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if let Type::Path(own) = &*item.self_ty {
            let is_method =
                |item: &&ImplItem| matches!(item, ImplItem::Fn(item) if !is_for_tests(&item.attrs));
            let methods = item.items.iter().filter(is_method).count();
            self.found.impls.push((self.module.clone(), segments_of(&own.path), methods));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            self.path.clone_into(&mut self.modules.0.entry(self.module.clone()).or_default().file);
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_used = matches!(item.vis, Visibility::Inherited);
        self.take_use(&[], &item.tree, is_used);
    }

    /// `pub(super)` uses nothing of what is above.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            self.refer(segments_of(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.take_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn segments_of(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string());
        condition.is_ok_and(|text| text == "test" || text.replace(' ', "").starts_with("all(test,"))
    })
}

/// The attributes of an item, and the name that it defines.
fn head_of(item: &Item) -> (&[Attribute], Option<String>) {
    let (attributes, name) = match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Mod(item) => (&item.attrs, None),
        Item::Use(item) => (&item.attrs, None),
        _ => return (&[], None),
    };
    (attributes, name.map(ToString::to_string))
}
