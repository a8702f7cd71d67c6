// A name for somebody who has not told us theirs yet.

const HOW = ["Amber", "Brisk", "Candid", "Clever", "Gentle", "Jolly", "Lively", "Merry", "Nimble", "Quiet", "Sunny", "Witty"];
const WHO = ["Badger", "Finch", "Fox", "Hare", "Heron", "Lynx", "Magpie", "Otter", "Owl", "Robin", "Swift", "Wren"];

function any(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}

export function guestName(): string {
  return `${any(HOW)} ${any(WHO)}`;
}
