// The byte sequences of section 6, from Markus Kuhn's decoder stress test: for each case, whether they are UTF-8.

const hex = (text) => Buffer.from(text.replaceAll(" ", ""), "hex");
const all = (valid, ...texts) => texts.map((text) => ({ valid, bytes: hex(text) }));
const yes = (...texts) => all(true, ...texts);
const no = (...texts) => all(false, ...texts);

/** "κόσμε" */
export const GREEK = hex("ceba e1bdb9 cf83 cebc ceb5");

const hello = (character) => Buffer.concat([Buffer.from("hello"), hex(character), Buffer.from("world")]);
const range = (first, end) => Array.from({ length: end - first }, (_, n) => first + n);
/** Bytes with a space after each. */
const spaced = (first, end) => Buffer.from(range(first, end).flatMap((byte) => [byte, 0x20]));

const CUT = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"];
const PLANES = ["f0", "f1", "f2", "f3", "f4"].flatMap((first) =>
  ["8f", "9f", "af", "bf"]
    .filter((second) => (first === "f4" ? second === "8f" : first !== "f0" || second !== "8f"))
    .flatMap((second) => [`${first}${second}bfbe`, `${first}${second}bfbf`]),
);

/** Subsections 6.5 and following; the index in each is the last number of the case. */
export const SEQUENCES = {
  "6.5 some valid sequences": [
    ...["24", "c2a2", "e282ac", "f0a4ada2"].map((character) => ({ valid: true, bytes: hello(character) })),
    { valid: true, bytes: GREEK },
  ],
  "6.6 all prefixes of a valid string": range(1, GREEK.length + 1).map((length) => ({
    valid: [2, 5, 7, 9, 11].includes(length),
    bytes: GREEK.subarray(0, length),
  })),
  "6.7 first possible sequence of a length": yes("00", "c280", "e0a080", "f0908080"),
  "6.8 first possible sequence of 5 and 6 bytes": no("f888808080", "fc8480808080"),
  "6.9 last possible sequence of a length": yes("7f", "dfbf", "efbfbf", "f48fbfbf"),
  "6.10 last possible sequence of 4, 5 and 6 bytes": no("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"),
  "6.11 other boundaries": [...yes("ed9fbf", "ee8080", "efbfbd", "f48fbfbf"), ...no("f4908080")],
  "6.12 unexpected continuation bytes": [
    ...no("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"),
    { valid: false, bytes: Buffer.from(range(0x80, 0xbf)) },
  ],
  "6.13 lonely start bytes": [
    [0xc0, 0xdf],
    [0xe0, 0xef],
    [0xf0, 0xf7],
    [0xf8, 0xfb],
    [0xfc, 0xfd],
  ].map(([first, end]) => ({ valid: false, bytes: spaced(first, end) })),
  "6.14 the last byte is missing": no(...CUT),
  "6.15 incomplete sequences, one after another": no(CUT.join("")),
  "6.16 impossible bytes": no("fe", "ff", "fefeffff"),
  "6.17 overlong ASCII": no("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"),
  "6.18 longest overlong sequences": no("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"),
  "6.19 overlong NUL": no("c080", "e08080", "f0808080", "f880808080", "fc8080808080"),
  "6.20 single surrogates": no("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"),
  "6.21 paired surrogates": no(
    ...["eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf"],
    ...["edae80edb080", "edae80edbfbf", "edafbfedb080", "edafbfedbfbf"],
  ),
  "6.22 non-characters, which are valid": yes("efbfbe", "efbfbf", ...PLANES),
  "6.23 specials": yes("efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"),
};
