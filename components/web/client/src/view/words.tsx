// What somebody wrote, as text: addresses are links, code is set as code, and who is mentioned stands out.

import { useMemo } from "preact/hooks";
import { type Part, parse } from "../model/text.ts";

interface Props {
  text: string;
  /** Those who can be mentioned. */
  names: readonly string[];
  isMe: (name: string) => boolean;
}

export function Words({ text, names, isMe }: Props) {
  const parts = useMemo(() => parse(text, names), [text, names]);
  return (
    <>
      {parts.map((part, index) => (typeof part === "string" ? part : <Piece key={index} part={part} isMe={isMe} />))}
    </>
  );
}

function Piece({ part, isMe }: { part: Exclude<Part, string>; isMe: (name: string) => boolean }) {
  switch (part.kind) {
    case "code":
      return <code dir="ltr">{part.text}</code>;
    case "block":
      return (
        <pre dir="ltr" tabIndex={0} role="group" aria-label={part.language ? `Code, ${part.language}` : "Code"}>
          {part.language && <small aria-hidden="true">{part.language}</small>}
          <code>{part.text}</code>
        </pre>
      );
    case "link":
      return (
        <a href={part.href} dir="ltr" target="_blank" rel="noopener noreferrer nofollow">
          {part.text}
        </a>
      );
    case "mention":
      return (
        <strong class="mention" data-me={isMe(part.name)}>
          <bdi>{part.text}</bdi>
        </strong>
      );
  }
}
