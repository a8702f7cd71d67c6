use crate::running::start;

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_has_only_what_it_inherits() {
    let app = start("dependencies").await;
    let chained = "http://nothing.spin.internal/";
    for (depender, what, expected) in [
        ("/nothing", "sqlite", "Error::AccessDenied"),
        ("/nothing", "variable", r#"Err(Error::Undefined("secret"))"#),
        ("/nothing", "environment", "Err(NotPresent)"),
        (
            "/nothing",
            chained,
            r#"InternalError(Some("\"wasi:http/client\" is not permitted"))"#,
        ),
        ("/sqlite", "sqlite", r#"Ok("opened")"#),
        ("/sqlite", "variable", r#"Err(Error::Undefined("secret"))"#),
        ("/everything", "sqlite", r#"Ok("opened")"#),
        ("/everything", "variable", r#"Ok("dependers")"#),
        ("/everything", "environment", r#"Ok("everything")"#),
        ("/everything", chained, "200 OK"),
    ] {
        let answer = app.ask(depender, &[], what).await;
        let fits = answer.body.contains(expected);
        assert!(
            answer.status == 200 && fits,
            "{depender} {what}: {answer:?}"
        );
    }
}
