// How many messages are unread, as a badge.

export function Count({ unread }: { unread: number }) {
  return (
    <span class="count">
      {unread > 99 ? "99+" : unread}
      <span class="hidden"> unread</span>
    </span>
  );
}
