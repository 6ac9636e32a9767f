'use client'
/** Namespaces and their applications as one long list, of which only what is on the screen exists. */
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { memo, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { Icon } from '@/components/icons'
import { Languages } from '@/components/language'
import { Link } from '@/components/link'
import { FILL, State } from '@/components/state'
import { Switch } from '@/components/switch'
import { Ago } from '@/components/time'
import type { ApplicationView } from '@/lib/api.gen'
import { count, plural } from '@/lib/format'
import { APPLICATION, APPLICATION_STATES, type Tone } from '@/lib/states'
import type { Flip } from './flip'
import type { Group, Open } from './groups'
import { AWAY, NamespaceSwitch } from './others'

type Line =
  | { key: string; group: Group; isOpen: boolean; row?: undefined; isLast: boolean }
  | { key: string; row: ApplicationView; group: Group; isOpen: true; isLast: boolean }

interface Props {
  groups: readonly Group[]
  open: Open
  isFiltered: boolean
  isAway: boolean
  onFlip: (flip: Flip) => void
}

export function SourceList({ groups, open, isFiltered, isAway, onFlip }: Props) {
  const list = useRef<HTMLUListElement>(null)
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const place = list.current ? list.current.getBoundingClientRect().top + window.scrollY : 0
    setTop((known) => (Math.abs(known - place) > 1 ? place : known))
  })
  const lines = useMemo(() => linesOf(groups, open), [groups, open])
  const virtual = useWindowVirtualizer({
    count: lines.length,
    estimateSize: (index) => (lines[index]?.row ? 65 : 76),
    getItemKey: (index) => lines[index]?.key ?? index,
    overscan: 10,
    scrollMargin: top,
    useFlushSync: false,
  })
  return (
    <ul
      ref={list}
      role="list"
      aria-label="Namespaces and their applications"
      className="relative"
      style={{ height: virtual.getTotalSize() }}
    >
      {virtual.getVirtualItems().map((item) => {
        const line = lines[item.index]
        if (!line) return null
        return (
          <li
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            className="absolute inset-x-0 top-0"
            style={{ transform: `translateY(${item.start - top}px)` }}
          >
            {line.row ? (
              <Row row={line.row} isLast={line.isLast} isAway={isAway} onFlip={onFlip} />
            ) : (
              <GroupHead
                group={line.group}
                isOpen={line.isOpen}
                isFiltered={isFiltered}
                isAway={isAway}
                onOpen={(isOpen) => open.set(line.group, isOpen)}
                onFlip={onFlip}
              />
            )}
          </li>
        )
      })}
    </ul>
  )
}

function linesOf(groups: readonly Group[], open: Open): Line[] {
  return groups.flatMap((group): Line[] => {
    const isOpen = open.is(group)
    const head: Line = { key: group.namespace.name, group, isOpen, isLast: !isOpen }
    if (!isOpen) return [head]
    return [
      head,
      ...group.items.map((row, index): Line => ({ key: row.id, row, group, isOpen: true, isLast: index === group.items.length - 1 })),
    ]
  })
}

function GroupHead({
  group,
  isOpen,
  isFiltered,
  isAway,
  onOpen,
  onFlip,
}: {
  group: Group
  isOpen: boolean
  isFiltered: boolean
  isAway: boolean
  onOpen: (open: boolean) => void
  onFlip: (flip: Flip) => void
}) {
  const { namespace, items } = group
  const said = namespace.terminating
    ? 'Being deleted'
    : isFiltered
        ? `${count(items.length)} of ${plural(namespace.applications, 'application')}`
        : `${namespace.instrumentedApplications} of ${namespace.applications} instrumented`
  return (
    <div className="pt-3">
      <div
        className={
          'relative grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border border-line bg-surface py-2 pr-4 pl-2 shadow-card ' +
          'sm:grid-cols-[minmax(0,1fr)_auto_auto] ' +
          'hover:bg-hover ' +
          (isOpen ? 'rounded-t-xl' : 'rounded-xl')
        }
      >
        <h2 className="flex min-w-0 items-center font-semibold">
          <button
            type="button"
            aria-expanded={isOpen}
            onClick={() => onOpen(!isOpen)}
            className="flex min-h-9 min-w-0 items-center gap-1.5 text-left before:absolute before:inset-0"
          >
            <Icon name="chevron" className={`size-4 text-muted transition-transform ${isOpen ? 'rotate-90' : ''}`} />
            <span className="sr-only">Namespace </span>
            <span className="min-w-0 break-all">{namespace.name}</span>
          </button>
        </h2>
        <div className="flex items-center gap-3 max-sm:order-last max-sm:col-span-2 max-sm:pb-1 max-sm:pl-5.5 sm:flex-row-reverse">
          <span className={`text-[0.8125rem] tabular-nums sm:min-w-36 sm:text-right ${namespace.terminating ? 'text-warn' : 'text-muted'}`}>{said}</span>
          <Bar items={items} />
        </div>
        <span className="relative z-10 flex">
          <NamespaceSwitch namespace={namespace} isAway={isAway} onFlip={onFlip} />
        </span>
      </div>
    </div>
  )
}

/** How the applications of a namespace stand, as shares of one bar of at most twelve pieces. */
function Bar({ items }: { items: readonly ApplicationView[] }) {
  const pieces = useMemo(() => piecesOf(items), [items])
  return (
    <span aria-hidden="true" className="flex gap-0.5">
      {pieces.map((tone, index) => (
        <span key={index} className={`h-1.5 w-2 rounded-full sm:w-2.5 ${FILL[tone]}`} />
      ))}
    </span>
  )
}

const PIECES = 12

function piecesOf(items: readonly ApplicationView[]): Tone[] {
  const counts = new Map<Tone, number>()
  for (const state of APPLICATION_STATES) counts.set(APPLICATION[state].tone, 0)
  for (const item of items) {
    const { tone } = APPLICATION[item.state]
    counts.set(tone, (counts.get(tone) ?? 0) + 1)
  }
  const order: Tone[] = ['ok', 'wait', 'warn', 'bad', 'rest']
  const all = order.flatMap((tone) => Array.from<Tone>({ length: counts.get(tone) ?? 0 }).fill(tone))
  if (all.length <= PIECES) return all
  // The rare ones are what a person looks for: each state that occurs keeps at least one piece.
  const there = order.filter((tone) => counts.get(tone))
  const spare = PIECES - there.length
  const pieces = there.flatMap((tone) => {
    const share = Math.floor(((counts.get(tone) ?? 0) / all.length) * spare)
    return Array.from<Tone>({ length: 1 + share }).fill(tone)
  })
  return pieces
}

interface RowProps {
  row: ApplicationView
  isLast: boolean
  isAway: boolean
  onFlip: (flip: Flip) => void
}

const Row = memo(function Row({ row, isLast, isAway, onFlip }: RowProps) {
  const look = APPLICATION[row.state]
  return (
    <div
      data-application={row.id}
      data-state={row.state}
      className={
        'relative grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 gap-y-1 border-x border-b border-line bg-surface py-2.5 pr-4 pl-4 ' +
        'hover:bg-hover sm:grid-cols-[minmax(0,14rem)_6.5rem_minmax(0,1fr)_auto] sm:pl-7.5 ' +
        (isLast ? 'rounded-b-xl' : '')
      }
    >
      <div className="min-w-0">
        <h3 className="font-medium">
          <Link href={`/sources/view/?id=${encodeURIComponent(row.id)}`} className="block truncate before:absolute before:inset-0" title={row.name}>
            {row.name}
          </Link>
        </h3>
        <p className="truncate text-[0.8125rem] text-muted">
          {row.kind} · {row.podsReady}/{plural(row.podsWanted, 'pod')}
        </p>
      </div>
      <div className="relative z-10 flex min-w-0 max-w-full justify-self-start max-sm:order-last max-sm:justify-self-end">
        <Languages application={row} />
      </div>
      <div className="min-w-0 max-sm:order-3 max-sm:col-span-1">
        <p className="flex flex-wrap items-center gap-x-2">
          <State look={look} />
          {row.since && row.state !== 'notSelected' && (
            <span className="text-[0.8125rem] text-muted">
              <Ago at={row.since} />
            </span>
          )}
        </p>
        {row.state !== 'notSelected' && (
          <p className="truncate text-[0.8125rem] text-muted max-sm:line-clamp-2 max-sm:whitespace-normal" title={row.message}>
            {row.message}
          </p>
        )}
      </div>
      <span className="relative z-10 flex justify-self-end max-sm:order-2">
        <Switch
          on={row.wanted}
          label={`Instrument ${row.name}`}
          blocked={isAway ? AWAY : ''}
          onFlip={(on) => onFlip({ id: row.id, on })}
        />
      </span>
    </div>
  )
})
