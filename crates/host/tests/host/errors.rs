use crate::running::{load_error, start};

/// Each error must name these.
async fn says(case: &str, words: &[&str]) {
    let error = load_error(case).await;
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_named_with_file_and_line() {
    says(
        "wrong-key",
        &["wrong-key/spin.toml", "line 13", "allowed_outbond_hosts"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_wasm_file_is_named_with_its_key() {
    let words = [
        "missing-wasm/spin.toml",
        "[component.app] source",
        "never/built.wasm",
    ];
    says("missing-wasm", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_does_not_fit_is_named() {
    says(
        "unfit-dependency",
        &[
            "spin.toml",
            "[component.asker]",
            "component app",
            "test:provider/capabilities@0.1.0",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_nothing_satisfies_is_named() {
    let words = [
        "spin.toml",
        "[component.asker]",
        "test:provider/capabilities@0.1.0",
    ];
    says("missing-dependency", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_with_configuration_of_its_own_is_refused_as_spin_refuses_it() {
    says(
        "middleware-with-variables",
        &[
            "Dependencies may not have their own resources",
            "outer",
            "variables",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_defined_is_named() {
    let words = [
        "[component.app] sqlite_databases",
        "\"nowhere\"",
        "runtime configuration",
    ];
    says("undefined-database", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_variable_without_a_value_is_named_with_the_way_to_set_it() {
    says(
        "variables",
        &["needed", "SPIN_VARIABLE_NEEDED", "--variable"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trapping_component_fails_its_request_and_not_the_next() {
    let app = start("app").await;
    for _ in 0..3 {
        let failed = app.ask("/", &[("x-do", "fail")], "").await;
        assert_eq!((failed.status, failed.body.as_str()), (500, ""));
        assert_eq!(app.ask("/", &[("x-do", "echo")], "well").await.body, "well");
    }
}
