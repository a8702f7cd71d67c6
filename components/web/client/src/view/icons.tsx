// The page's own pictograms: strokes in the colour of the text around them.

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.4-3.6 2.9-6 6.5-6s6.1 2.4 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3.3 2.7 3.5 5.5",
  close: "M6 6l12 12M18 6 6 18",
  send: "M4.5 12 4 4.5 20.5 12 4 19.5 4.5 12Zm0 0h8",
  plus: "M12 5v14M5 12h14",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5.5 11h13v9h-13zM12 14.5v2.5",
  leave: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  down: "M12 5v14M6 13l6 6 6-6",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15l1.5-2ZM10 21h4",
  silent: "M8 6.5A6 6 0 0 1 18 11v4M18.5 18.5h-14l1.5-2V11c0-.7.1-1.3.3-1.9M10 21h4M4 4l16 16",
  horn: "M4 10v4h3l8 4.5v-13L7 10H4ZM18 9.5a4 4 0 0 1 0 5M8 14.5 9 20h2.5",
  warning: "M12 4 2.5 20h19L12 4ZM12 10v4.5M12 17.2v.3",
  tick: "M5 12.5 10 17.5 19 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3 2.5",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
