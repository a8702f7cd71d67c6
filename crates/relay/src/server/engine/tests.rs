use super::*;

#[test]
fn the_query_is_read_as_node_reads_it() {
    let query = |text: &str| {
        let Query {
            revision,
            transport,
            sid,
            ..
        } = Query::parse(text);
        (revision, transport, sid)
    };
    let of = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
    assert_eq!(
        query("EIO=4&transport=polling&t=abc"),
        of("4", "polling", "")
    );
    assert_eq!(
        query("sid=a%2Db&transport=websocket&EIO=4"),
        of("4", "websocket", "a-b")
    );
    assert_eq!(query("EIO=3&EIO=4"), of("4", "", ""));
    assert_eq!(query(""), of("", "", ""));
    assert_eq!(query("&&sid&=4"), of("", "", ""));
    let base64 = ["b64=1", "b64=0", "b64=1&b64=", "b64", "", "b=64"];
    let base64 = base64.map(|text| Query::parse(text).base64);
    assert_eq!(base64, [true, true, false, false, false, false]);
}

#[test]
fn refusals_have_the_references_status() {
    assert_eq!(Refusal::unknown_transport().response().status(), 400);
    assert_eq!(Refusal::new(4, "no").response().status(), 403);
    assert_eq!(Refusal::new(4, "no").upgrade_response().status(), 400);
}
