'use client'
/** The whole at a glance: the one sentence, the way telemetry takes, and what needs a person. */
import type { ReactNode } from 'react'
import { Until } from '@/components/feedback'
import { Icon, type IconName } from '@/components/icons'
import { Link } from '@/components/link'
import { PageHead, Section } from '@/components/page'
import { State, TEXT } from '@/components/state'
import { Ago } from '@/components/time'
import type { ApplicationsView, CollectorGroupView, CollectorsView, DestinationsView } from '@/lib/api.gen'
import { capital, count, words } from '@/lib/format'
import { useCollectors, useDestinations, useSources } from '@/lib/queries'
import { APPLICATION, because, DESTINATION, type Look, type Tone } from '@/lib/states'
import { FirstSteps, isFirstRun } from './first-steps'

export function OverviewPage() {
  const sources = useSources()
  const destinations = useDestinations()
  const collectors = useCollectors()
  return (
    <>
      <PageHead title="Overview" sentence={sources.data?.summary} />
      <Until query={sources} rows={4}>
        <Until query={destinations} rows={4}>
          {sources.data && destinations.data && (
            <Overview sources={sources.data} destinations={destinations.data} collectors={collectors.data} />
          )}
        </Until>
      </Until>
    </>
  )
}

interface Parts {
  sources: ApplicationsView
  destinations: DestinationsView
  collectors?: CollectorsView
}

function Overview({ sources, destinations, collectors }: Parts) {
  const groups = collectors?.items ?? []
  return (
    <div className="space-y-9">
      {isFirstRun(sources, destinations) && <FirstSteps sources={sources} destinations={destinations} />}
      <Section title="How telemetry flows">
        <Lanes sources={sources} destinations={destinations} groups={groups} />
      </Section>
      <Attention sources={sources} destinations={destinations} groups={groups} />
      <Latest sources={sources} />
    </div>
  )
}

function Lanes({ sources, destinations, groups }: { sources: ApplicationsView; destinations: DestinationsView; groups: readonly CollectorGroupView[] }) {
  const wanted = sources.items.filter((row) => row.wanted)
  const done = sources.counts.instrumented ?? 0
  const bad = destinations.items.filter((item) => item.state === 'error').length
  const well = destinations.items.filter((item) => item.state === 'ok').length
  const node = groups.find((group) => group.role === 'node')
  const gateways = groups.filter((group) => group.role !== 'node')
  return (
    <ol className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Lane
        icon="apps"
        title="Applications"
        href="/sources/"
        value={count(done)}
        of={`of ${count(wanted.length || sources.items.length)}${wanted.length > 0 ? ' chosen' : ''}`}
        note={sources.counts.failed ? `${count(sources.counts.failed)} failed` : wanted.length > 0 ? 'instrumented' : 'none chosen yet'}
        tone={sources.counts.failed ? 'bad' : done > 0 ? 'ok' : 'rest'}
      />
      <Lane icon="node" title="Node collectors" {...collectorLane(node ? [node] : [])} />
      <Lane icon="gateway" title="Gateway" {...collectorLane(gateways)} />
      <Lane
        icon="send"
        title="Destinations"
        href="/destinations/"
        value={count(well)}
        of={destinations.items.length > 0 ? `of ${count(destinations.items.length)}` : ''}
        note={bad ? `${bad} not delivering` : destinations.items.length === 0 ? 'none yet' : 'delivering'}
        tone={bad ? 'bad' : well > 0 ? 'ok' : 'rest'}
        isLast
      />
    </ol>
  )
}

function collectorLane(groups: readonly CollectorGroupView[]): { value: string; of: string; note: string; tone: Tone } {
  if (groups.length === 0) return { value: '–', of: '', note: 'none yet', tone: 'rest' }
  const ready = groups.every((group) => group.ready)
  const replicas = groups.reduce((sum, group) => sum + group.replicas, 0)
  const open = groups.flatMap((group) => group.conditions).find((said) => said.status !== 'True')
  return {
    value: count(replicas),
    of: replicas === 1 ? 'replica' : 'replicas',
    note: ready ? 'ready' : open ? words(open.reason) : 'not ready',
    tone: ready ? 'ok' : groups.some((group) => group.conditions.some((said) => said.status === 'False')) ? 'warn' : 'wait',
  }
}

const TONE_ICON: Readonly<Record<Tone, IconName>> = { ok: 'check', wait: 'clock', warn: 'alert', bad: 'cross', rest: 'ring' }

interface LaneProps {
  icon: IconName
  title: string
  href?: string
  value: string
  of: string
  note: string
  tone: Tone
  isLast?: boolean
}

function Lane({ icon, title, href, value, of, note, tone, isLast }: LaneProps) {
  const body: ReactNode = (
    <>
      <span className="flex items-center gap-2 text-sm text-muted">
        <Icon name={icon} />
        {title}
      </span>
      <span className="mt-2 flex items-baseline gap-1.5">
        <span className="text-3xl font-semibold tracking-tight tabular-nums">{value}</span>
        <span className="text-sm text-muted">{of}</span>
      </span>
      <span className={`mt-1.5 flex items-center gap-1.5 text-sm font-medium ${TEXT[tone]}`}>
        <Icon name={TONE_ICON[tone]} />
        {capital(note)}
      </span>
    </>
  )
  const look = 'card flex h-full flex-col p-4'
  return (
    <li className="relative">
      {href ? (
        <Link href={href} className={`${look} transition-colors hover:border-edge hover:bg-hover`}>
          {body}
        </Link>
      ) : (
        <div className={look}>{body}</div>
      )}
      {!isLast && (
        <span className="absolute top-1/2 -right-3 z-10 hidden size-6 -translate-y-1/2 place-items-center rounded-full border border-line bg-bg text-muted lg:grid">
          <Icon name="arrow" className="size-3" />
        </span>
      )}
    </li>
  )
}

interface Matter {
  key: string
  href?: string
  name: string
  place: string
  look: Look
  reason: string
  message: string
  fix: string
  since: string
}

const SHOWN = 8

/** Waiting that ends only when a person does something. */
const BY_HAND: ReadonlySet<string> = new Set(['Paused', 'WaitingForRestart'])

function mattersOf({ sources, destinations, groups }: { sources: ApplicationsView; destinations: DestinationsView; groups: readonly CollectorGroupView[] }): Matter[] {
  const broken = destinations.items
    .filter((item) => item.state === 'error')
    .map((item): Matter => ({ ...item, key: `d ${item.name}`, href: '/destinations/', name: item.display, place: 'Destination', look: DESTINATION.error }))
  const collectors = groups
    .filter((group) => !group.ready)
    .flatMap((group) => group.conditions.filter((said) => said.status === 'False').slice(0, 1).map((said) => ({ group, said })))
    .map(({ group, said }): Matter => ({
      ...said,
      key: `c ${group.name}`,
      name: group.name,
      place: 'Collectors',
      look: { word: 'Not ready', tone: 'warn', icon: 'alert' },
    }))
  const applications = sources.items
    .filter((row) => row.state === 'failed' || BY_HAND.has(row.reason))
    .map((row): Matter => ({
      ...row,
      key: `a ${row.id}`,
      href: `/sources/view/?id=${encodeURIComponent(row.id)}`,
      place: row.namespace,
      look: APPLICATION[row.state],
    }))
  return [...broken, ...collectors, ...applications]
}

function Attention(parts: { sources: ApplicationsView; destinations: DestinationsView; groups: readonly CollectorGroupView[] }) {
  const matters = mattersOf(parts)
  if (matters.length === 0) {
    return isFirstRun(parts.sources, parts.destinations) ? null : (
      <p className="card flex items-center gap-2.5 px-5 py-4">
        <Icon name="check" className="size-5 text-ok" /> Nothing needs you.
      </p>
    )
  }
  return (
    <Section
      title={`Needs you: ${count(matters.length)}`}
      aside={
        matters.length > SHOWN && (
          <Link href="/sources/?state=failed" className="text-sm font-medium text-accent hover:underline">
            All that failed
          </Link>
        )
      }
    >
      <ul className="card divide-y divide-line">
        {matters.slice(0, SHOWN).map((matter) => (
          <li key={matter.key} className="relative grid gap-x-5 gap-y-1 px-5 py-3.5 hover:bg-hover sm:grid-cols-[minmax(0,13rem)_1fr]">
            <div className="min-w-0">
              <h3 className="truncate font-medium">
                {matter.href ? (
                  <Link href={matter.href} className="before:absolute before:inset-0">
                    {matter.name}
                  </Link>
                ) : (
                  matter.name
                )}
              </h3>
              <p className="truncate text-sm text-muted">{matter.place}</p>
            </div>
            <div className="min-w-0">
              <p className="flex flex-wrap items-center gap-x-2 text-sm">
                <State look={matter.look} />
                <span className="text-muted">
                  {because(matter.look, matter.reason)} <Ago at={matter.since} />
                </span>
              </p>
              <p className="mt-0.5">{matter.message}</p>
              {matter.fix && <p className="mt-0.5 text-sm text-muted">{matter.fix}</p>}
            </div>
          </li>
        ))}
      </ul>
      {matters.length > SHOWN && <p className="mt-2 text-sm text-muted">and {count(matters.length - SHOWN)} more</p>}
    </Section>
  )
}

const LATEST = 6

/** What the applications came to last, newest first. */
function Latest({ sources }: { sources: ApplicationsView }) {
  const known = sources.items.filter((row) => row.wanted && row.since && row.state !== 'failed')
  const rows = known.sort((one, other) => other.since.localeCompare(one.since)).slice(0, LATEST)
  if (rows.length === 0) return null
  return (
    <Section title="Latest changes">
      <ul className="card divide-y divide-line">
        {rows.map((row) => (
          <li key={row.id} className="relative grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-5 gap-y-0.5 px-5 py-2.5 hover:bg-hover sm:grid-cols-[minmax(0,13rem)_8.5rem_minmax(0,1fr)_auto]">
            <h3 className="min-w-0 truncate">
              <Link href={`/sources/view/?id=${encodeURIComponent(row.id)}`} className="font-medium before:absolute before:inset-0">
                {row.name}
              </Link>
              <span className="ml-2 text-sm text-muted">{row.namespace}</span>
            </h3>
            <State look={APPLICATION[row.state]} />
            <p className="truncate text-sm text-muted" title={row.message}>
              {row.message}
            </p>
            <span className="text-right text-sm text-muted">
              <Ago at={row.since} />
            </span>
          </li>
        ))}
      </ul>
    </Section>
  )
}
