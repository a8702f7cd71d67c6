// How many messages are unread, as a badge; with an @ if one is for us.

export function Count({ unread, isMentioned = false }: { unread: number; isMentioned?: boolean | undefined }) {
  return (
    <span class="count">
      {isMentioned && "@ "}
      {unread > 99 ? "99+" : unread}
      <span class="hidden"> unread{isMentioned && ", you are mentioned"}</span>
    </span>
  );
}
