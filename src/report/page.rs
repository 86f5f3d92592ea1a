//! The frame of a page: one file that asks nothing of any server.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing but what is in the page itself may be loaded or run.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A part of a page that can be jumped to.
pub(super) struct Section {
    /// Its name in the address, of small letters.
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}

/// A whole page.
pub(super) fn page(title: &str, introduction: &Markup, sections: &[Section]) -> String {
    let header = html! {
        (introduction)
        @if sections.len() > 1 {
            nav aria-label="Sections" {
                ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
            }
        }
    };
    let main = html! {
        @for section in sections {
            section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                h2 id={ (section.id) "-title" } { (section.title) }
                (section.body)
            }
        }
    };
    let document = document(&Document {
        title,
        header: &header,
        main: &main,
        style: "",
        script: "",
        policy: Some(POLICY),
    });
    document.html
}

/// What is in the frame of a page.
pub(crate) struct Document<'a> {
    pub title: &'a str,
    /// What follows the title.
    pub header: &'a Markup,
    pub main: &'a Markup,
    /// Rules and a script besides those of all pages.
    pub style: &'a str,
    pub script: &'a str,
    /// The policy, where no server sends one.
    pub policy: Option<&'a str>,
}

/// A page, with the whole content of its one style sheet and of its one script.
pub(crate) struct Drawn {
    pub html: String,
    #[cfg_attr(
        not(feature = "serve"),
        expect(dead_code, reason = "for the policy of a server")
    )]
    pub style: String,
    #[cfg_attr(
        not(feature = "serve"),
        expect(dead_code, reason = "for the policy of a server")
    )]
    pub script: String,
}

/// The page with this content.
pub(crate) fn document(content: &Document) -> Drawn {
    let style = STYLE.to_owned() + content.style;
    let script = SCRIPT.to_owned() + content.script;
    let title = content.title;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(policy) = content.policy {
                    meta http-equiv="Content-Security-Policy" content=(policy);
                }
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(&style)) }
            }
            body {
                a.skip href="#content" { "To the content" }
                header {
                    h1 { (title) }
                    button #theme type="button" hidden { "Dark" }
                    (content.header)
                }
                main #content { (content.main) }
                script { (PreEscaped(&script)) }
            }
        }
    };
    Drawn {
        html: page.into_string(),
        style,
        script,
    }
}

/// A chart with its title, and its numbers as a table.
pub(super) fn figure(title: &str, chart: &Markup, numbers: &Markup) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            (chart)
            details { summary { "The numbers" } (numbers) }
        }
    }
}
