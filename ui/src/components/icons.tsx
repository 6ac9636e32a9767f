/** The few icons that the pages use, drawn on a grid of 24; they say nothing by themselves, the words beside them do. */
const PATHS = {
  alert: 'M12 8.5v4.5M12 16.6v.1M10.3 4.2 2.9 17a2 2 0 0 0 1.7 3h14.8a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z',
  apps: 'M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  back: 'M9 14 4 9l5-5M4 9h10.5a5.5 5.5 0 0 1 0 11H11',
  barred: 'M5.6 5.6l12.8 12.8M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  check: 'M8 12.2l2.8 2.8L16.2 9M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  chevron: 'M9 6l6 6-6 6',
  clock: 'M12 7v5l3.2 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  cross: 'M9 9l6 6M15 9l-6 6M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  done: 'M5 12.5l4.5 4.5L19 7.5',
  funnel: 'M4 5h16l-6 7.5V19l-4-2v-4.5z',
  gateway: 'M12 3v18M5 7h14M5 17h14M3 12h18',
  key: 'M15 4a5 5 0 1 1-4.6 7L3.5 18v2.5H7V18h2.5v-2.5l1.5-1.4M15.8 8.2v.1',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M5 11h14v9H5z',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z',
  node: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.1M7.5 16h.1',
  overview: 'M4 12a8 8 0 0 1 16 0M12 12l3.5-3.5M4 12v5h16v-5',
  plus: 'M12 5v14M5 12h14',
  ring: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  screen: 'M3 5h18v11H3zM8.5 20h7M12 16v4',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM20 20l-4.8-4.8',
  send: 'M21 3 10.5 13.5M21 3l-6.5 18-4-7.5L3 9.5z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  terminal: 'M5 8l4 4-4 4M12 16h7',
  trash: 'M4 7h16M9.5 7V4h5v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  turning: 'M12 3a9 9 0 1 0 9 9',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, className = 'size-4' }: { name: IconName; className?: string }) {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className={`shrink-0 ${className}`}
    >
      <path d={PATHS[name]} />
    </svg>
  )
}

export function Mark({ className = 'size-7' }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className={`shrink-0 ${className}`}>
      <rect width="32" height="32" rx="8" className="fill-accent-fill" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round">
        <circle cx="9.5" cy="22.5" r="3.1" />
        <circle cx="22.5" cy="9.5" r="3.1" />
        <path d="M12.6 22.5h5.2a4.2 4.2 0 0 0 0-8.4h-3.6a4.2 4.2 0 0 1 0-8.4" />
      </g>
    </svg>
  )
}
