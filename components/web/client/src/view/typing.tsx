// Who is writing: says that one does, and shows who else does.

import { useRef } from "preact/hooks";
import type { Area } from "../model/area.ts";
import type { Room } from "../model/room.ts";

/** While one types, it is said again this often: milliseconds. */
const SAY_TYPING = 3000;

/** Says that one types: at once, then now and then; and that one has stopped. */
export function useTyping(area: Area): (isTyping: boolean) => void {
  const said = useRef({ isTyping: false, at: 0 });
  const say = (isTyping: boolean) => {
    const { current } = said;
    const isNews = isTyping !== current.isTyping || (isTyping && Date.now() - current.at > SAY_TYPING);
    if (!isNews) return;
    said.current = { isTyping, at: Date.now() };
    area.type(isTyping);
  };
  return say;
}

export function WhoTypes({ room }: { room: Room }) {
  const names = [...room.typing.values()].map(({ member }) => member.name);
  return (
    <p class="typing" aria-live="off" data-testid="typing">
      {names.length > 0 && (
        <>
          <Dots /> <span>{sentence(names)}</span>
        </>
      )}
    </p>
  );
}

function sentence(names: string[]) {
  const [first = "", second = ""] = names;
  if (names.length > 2) return `${names.length} people are typing…`;
  if (names.length === 1) return <><bdi>{first}</bdi> is typing…</>;
  return <><bdi>{first}</bdi> and <bdi>{second}</bdi> are typing…</>;
}

export function Dots() {
  return (
    <span class="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}
