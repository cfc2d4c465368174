//! The user documentation: Markdown files in two languages, made into pages as they are asked for.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};
use rust_embed::RustEmbed;

use crate::{CACHE_ASK, CONTENT_POLICY};

#[derive(RustEmbed)]
#[folder = "docs"]
struct Docs;

/// A language of the documentation: the folder of its files, and the words around a page.
struct Language {
    tag: &'static str,
    name: &'static str,
    title: &'static str,
    reference: &'static str,
    console: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        tag: "en",
        name: "English",
        title: "IoT MQ documentation",
        reference: "API reference",
        console: "Console",
    },
    Language {
        tag: "zh-CN", name: "中文", title: "IoT MQ 文档", reference: "API 参考", console: "控制台"
    },
];

/// The pages in the order in which they are read; each is a file in every language.
const PAGES: [&str; 12] = [
    "get-started",
    "mqtt",
    "limits",
    "mqtt-conformance",
    "tokens",
    "messages",
    "durability",
    "shared-subscriptions",
    "replay",
    "alarms",
    "api",
    "problem-codes",
];

/// The pages of the documentation below `/docs`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(first))
        .route("/docs/", get(first))
        .route("/docs/docs.css", get(style))
        .route("/docs/{language}", get(|Path(language): Path<String>| async move { beginning(&language) }))
        .route("/docs/{language}/", get(|Path(language): Path<String>| async move { beginning(&language) }))
        .route(
            "/docs/{language}/{page}",
            get(|Path((language, page)): Path<(String, String)>| async move { shown(&language, &page) }),
        )
}

/// The first page in the language that the browser prefers.
async fn first(headers: HeaderMap) -> Response {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = format!("/docs/{}/{}", preferred(asked).tag, PAGES[0]);
    ([(VARY, HeaderValue::from_static("accept-language"))], Redirect::to(&address)).into_response()
}

/// Of the languages in an `Accept-Language` header the first that there is. Browsers send them in order.
fn preferred(asked: &str) -> &'static Language {
    let wanted = asked.split(',').find_map(|choice| {
        let primary = choice.trim().split(['-', ';', '_']).next().unwrap_or_default();
        LANGUAGES.iter().find(|language| language.tag.split('-').next() == Some(primary))
    });
    wanted.unwrap_or(&LANGUAGES[0])
}

fn beginning(language: &str) -> Response {
    match find(language) {
        Some(language) => Redirect::to(&format!("/docs/{}/{}", language.tag, PAGES[0])).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn find(tag: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.tag == tag)
}

async fn style() -> Response {
    match Docs::get("docs.css") {
        Some(file) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
                (CACHE_CONTROL, HeaderValue::from_static(CACHE_ASK)),
            ];
            (headers, file.data.into_owned()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn shown(language: &str, page: &str) -> Response {
    let Some(language) = find(language) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(text) = PAGES.contains(&page).then(|| markdown(language, page)).flatten() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_LANGUAGE, HeaderValue::from_static(language.tag)),
        (CACHE_CONTROL, HeaderValue::from_static(CACHE_ASK)),
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    ];
    (headers, whole_page(language, page, &text)).into_response()
}

fn markdown(language: &Language, page: &str) -> Option<String> {
    let file = Docs::get(&format!("{}/{page}.md", language.tag))?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// The first heading.
fn title(markdown: &str) -> &str {
    markdown.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

fn whole_page(language: &Language, page: &str, text: &str) -> String {
    let entry = |name: &str| {
        let title = markdown(language, name).map(|text| title(&text).to_owned()).unwrap_or_default();
        let here = if name == page { " aria-current=\"page\"" } else { "" };
        format!("<li><a href=\"/docs/{}/{name}\"{here}>{title}</a></li>", language.tag)
    };
    let contents = PAGES.map(entry).concat();
    let others: Vec<String> = LANGUAGES
        .iter()
        .filter(|other| other.tag != language.tag)
        .map(|other| format!("<a href=\"/docs/{0}/{page}\" lang=\"{0}\">{1}</a>", other.tag, other.name))
        .collect();
    let others = others.concat();
    let Language { tag, title: name, reference, console, .. } = language;
    format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{} - {name}</title><link rel=\"stylesheet\" href=\"/docs/docs.css\"></head>\n<body>\
         <header><a class=\"name\" href=\"/docs/{tag}/\">{name}</a><span><a href=\"/\">{console}</a>\
         <a href=\"/docs/api/\">{reference}</a>{others}</span></header>\n\
         <nav><ul>{contents}</ul></nav>\n<main>\n{}</main>\n</body></html>\n",
        title(text),
        html(text)
    )
}

/// The text as HTML: headings can be linked to, and markup that stands in the text is shown, not used.
fn html(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> =
        Parser::new_ext(markdown, Options::ENABLE_TABLES)
            .map(|event| {
                if let Event::Html(text) | Event::InlineHtml(text) = event {
                    Event::Text(text)
                } else {
                    event
                }
            })
            .collect();
    name_headings(&mut events);
    let mut out = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut out, events.into_iter());
    // A table is wider than a phone, and then scrolls by itself.
    out.replace("<table>", "<div class=\"table\"><table>").replace("</table>", "</table></div>")
}

fn name_headings(events: &mut [Event<'_>]) {
    for at in 0..events.len() {
        if !matches!(events[at], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let words = events[at..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = words.filter_map(|event| word(event)).collect();
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(CowStr::from(anchor(&text)));
        }
    }
}

fn word<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    if let Event::Text(text) | Event::Code(text) = event { Some(text) } else { None }
}

fn anchor(heading: &str) -> String {
    let letters = heading.to_lowercase();
    let words = letters.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_there_in_every_language_and_its_links_lead_somewhere() {
        for language in &LANGUAGES {
            for page in PAGES {
                let text =
                    markdown(language, page).unwrap_or_else(|| panic!("no {}/{page}.md", language.tag));
                assert!(!title(&text).is_empty(), "{}/{page} has no title", language.tag);
                for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                    let own = link.strip_prefix(&format!("/docs/{}/", language.tag));
                    let leads = own
                        .is_some_and(|page| PAGES.contains(&page.split('#').next().unwrap_or_default()))
                        || ["/docs/api/", "/docs/errors", "/openapi/control-plane.v1.json", "/"]
                            .contains(&link)
                        || link.starts_with('#');
                    assert!(leads, "{}/{page}: {link} leads nowhere", language.tag);
                }
            }
        }
    }

    #[test]
    fn the_browsers_language_is_taken_where_there_is_one() {
        for (asked, tag) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
            ("zh", "zh-CN"),
            ("de,en;q=0.8,zh;q=0.1", "en"),
            ("", "en"),
            ("fr", "en"),
        ] {
            assert_eq!(preferred(asked).tag, tag, "{asked}");
        }
    }

    #[test]
    fn markup_in_the_text_is_shown_and_not_used() {
        let page = html("# A <b>b</b> `c`\n\n<script>alert(1)</script>\n\n|x|\n|-|\n|y|\n");
        assert!(page.contains("<h1 id=\"a-b-b-b-c\">") && !page.contains("<script>"), "{page}");
        assert!(page.contains("<div class=\"table\"><table>"), "{page}");
    }

    #[test]
    fn what_is_no_page_is_not_found() {
        for (language, page) in [("en", "absent"), ("de", "tokens"), ("en", "../en/tokens")] {
            assert_eq!(shown(language, page).status(), StatusCode::NOT_FOUND, "{language}/{page}");
        }
        let page = shown("zh-CN", "tokens");
        assert_eq!(page.headers()[CONTENT_LANGUAGE], "zh-CN");
        assert_eq!(page.headers()[CONTENT_SECURITY_POLICY], CONTENT_POLICY);
    }
}
