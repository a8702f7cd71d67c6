use crate::running::start_with;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_reads_what_it_declares_and_nothing_else() {
    let app = start_with("variables", |options| {
        options.variables = vec![pair("needed", "flag")];
        options.default_variables = vec![pair("needed", "random"), pair("usual", "random")];
    })
    .await;
    assert_eq!(app.asked_to("variable needed").await, r#"Ok("flag")"#);
    assert_eq!(
        app.asked_to("variable both").await,
        r#"Ok("flag and manifest")"#
    );
    let undeclared = app.asked_to("variable usual").await;
    assert!(undeclared.contains("Undefined"), "{undeclared}");
    let invalid = app.asked_to("variable No").await;
    assert!(invalid.contains("InvalidName"), "{invalid}");
    assert_eq!(app.app.variable("needed").unwrap().as_deref(), Some("flag"));
    assert_eq!(app.app.variable("other").unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_is_used_where_nothing_else_gives_a_value() {
    let app = start_with("variables", |options| {
        options.default_variables = vec![pair("needed", "random")];
    })
    .await;
    assert_eq!(app.asked_to("variable needed").await, r#"Ok("random")"#);
}
