// The right side: who is in the room. Without a connection nobody knows, and nobody is shown.

import type { Area } from "../model/area.ts";
import { tagsOf } from "../model/namesakes.ts";
import type { Room } from "../model/room.ts";
import { Avatar } from "./Avatar.tsx";
import { Name } from "./Name.tsx";
import { Dots } from "./typing.tsx";

export function People({ area, room, name }: { area: Area; room: Room; name: string }) {
  if (!room.isJoined) {
    return (
      <>
        <h2 id="people">In this room</h2>
        <p class="unknown" data-testid="unknown-people">
          {room.problem === undefined ? "Who is here is known when there is a connection." : "You are not in this room."}
        </p>
      </>
    );
  }
  const isMe = (id: string) => id === area.me;
  const members = [...room.members.values()]
    .map((member) => (isMe(member.id) && area.name === "lobby" ? { ...member, name } : member))
    .sort((a, b) => Number(isMe(b.id)) - Number(isMe(a.id)) || a.name.localeCompare(b.name));
  const tags = tagsOf([...members, ...room.known().filter(({ id }) => !isMe(id))]);
  return (
    <>
      <h2 id="people">
        In this room <span class="total">{room.count}</span>
      </h2>
      <ul aria-labelledby="people">
        {members.map((member) => (
          <li key={member.id} data-testid="member" data-typing={room.typing.has(member.id)}>
            <Avatar member={member} />
            <span class="name">
              <Name name={member.name} tag={tags.get(member.id)} />
            </span>
            {isMe(member.id) && <span class="you">you</span>}
            {room.typing.has(member.id) && <Dots />}
          </li>
        ))}
      </ul>
      {room.nextMembers !== undefined && (
        <button type="button" class="more-people" data-testid="more-members" onClick={() => void area.loadMembers()}>
          Show more
        </button>
      )}
    </>
  );
}
