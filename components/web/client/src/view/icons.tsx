// The page's own pictograms: strokes in the colour of the text around them.

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.4-3.6 2.9-6 6.5-6s6.100 2.400 6.500 6M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.500c2 .8 3.300 2.700 3.500 5.500",
  close: "M6 6l12 12M18 6 6 18",
  send: "M4.500 12 4 4.500 20.500 12 4 19.500 4.500 12Zm0 0h8",
  plus: "M12 5v14M5 12h14",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5.500 11h13v9h-13zM12 14.500v2.500",
  leave: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  down: "M12 5v14M6 13l6 6 6-6",
  horn: "M4 10v4h3l8 4.500v-13L7 10H4ZM18 9.500a4 4 0 0 1 0 5M8 14.500 9 20h2.500",
  warning: "M12 4 2.500 20h19L12 4ZM12 10v4.500M12 17.200v.3",
  tick: "M5 12.500 10 17.500 19 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3 2.500",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
