'use client'
/** Where telemetry goes: each destination with its state, what it took, and what it last complained of. */
import { useSearchParams } from 'next/navigation'
import { Suspense, useState } from 'react'
import { ButtonLink, IconButton } from '@/components/button'
import { Code } from '@/components/code'
import { Until } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { PageHead } from '@/components/page'
import { StatePill, TEXT } from '@/components/state'
import { Ago } from '@/components/time'
import type { ConditionView, DestinationTypeView, DestinationView } from '@/lib/api.gen'
import { bytes, count, plural, words } from '@/lib/format'
import { useConnection, useDestinations, useDestinationTypes } from '@/lib/queries'
import { DESTINATION, LINKS } from '@/lib/states'
import { Catalogue } from './catalogue'
import { RemoveDialog } from './remove'
import { SIGNAL_WORDS } from './signals'
import { useRates, type Rates } from './rates'

export function DestinationsPage() {
  const query = useDestinations()
  const items = query.data?.items ?? []
  return (
    <>
      <PageHead
        title="Destinations"
        sentence={query.data && sentence(items)}
        actions={
          items.length > 0 && (
            <ButtonLink kind="primary" icon="plus" href="/destinations/edit/">
              New destination
            </ButtonLink>
          )
        }
      />
      <Until query={query} rows={3}>
        {items.length > 0 ? (
          <Suspense>
            <List items={items} />
          </Suspense>
        ) : (
          <First />
        )}
      </Until>
    </>
  )
}

function sentence(items: readonly DestinationView[]): string {
  if (items.length === 0) return 'Telemetry has nowhere to go yet.'
  const broken = items.filter((item) => item.state === 'error')
  const well = items.filter((item) => item.state === 'ok').length
  if (items.length === 1 && broken.length > 0) return 'It does not take what it is sent.'
  if (broken.length > 0) {
    const named = broken.slice(0, 2).map((item) => item.display)
    const more = broken.length > 2 ? ` and ${broken.length - 2} more` : ''
    return `${well} of ${plural(items.length, 'destination')} take what they are sent; ${named.join(', ')}${more} ${broken.length === 1 ? 'does' : 'do'} not.`
  }
  if (items.length === 1 && well === 0) return 'It has not been sent anything yet.'
  if (well === items.length) return well === 1 ? 'It takes what it is sent.' : `All ${well} take what they are sent.`
  return `${well} of ${plural(items.length, 'destination')} take what they are sent; nothing is wrong with the others.`
}

function First() {
  return (
    <div className="card px-6 pt-10 pb-8">
      <div className="mx-auto mb-7 max-w-lg text-center">
        <h2 className="text-lg font-semibold">Where should telemetry go?</h2>
        <p className="mt-1.5 text-muted">
          Choose a kind of back end. Applications that are chosen already begin to send as soon as there is one.
        </p>
      </div>
      <Catalogue heading="h3" />
    </div>
  )
}

function List({ items }: { items: readonly DestinationView[] }) {
  const added = useSearchParams().get('added')
  const [removing, setRemoving] = useState<DestinationView>()
  const types = useDestinationTypes()
  const rates = useRates(items)
  const isAway = useConnection().phase === 'lost'
  return (
    <>
      <ul className="space-y-3">
        {items.map((item) => (
          <li key={item.name}>
            <Item
              item={item}
              type={types.data?.items.find((type) => type.type === item.type)}
              rates={rates.get(item.name)}
              isNew={item.name === added}
              isAway={isAway}
              onRemove={() => setRemoving(item)}
            />
          </li>
        ))}
      </ul>
      {removing && <RemoveDialog item={removing} onClose={() => setRemoving(undefined)} />}
    </>
  )
}

interface ItemProps {
  item: DestinationView
  type?: DestinationTypeView
  rates?: Rates
  isNew: boolean
  isAway: boolean
  onRemove: () => void
}

function Item({ item, type, rates, isNew, isAway, onRemove }: ItemProps) {
  const look = DESTINATION[item.state]
  return (
    <article data-destination={item.name} data-state={item.state} className={`card px-5 py-4 ${isNew ? 'outline-2 outline-accent' : ''}`}>
      <div className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-56">
          <h2 className="text-base font-semibold">{item.display}</h2>
          <p className="text-sm text-muted">
            {type?.display ?? `Unknown type ${item.type}`} · {item.signals.map((signal) => SIGNAL_WORDS[signal]).join(', ') || 'no signals'}
          </p>
        </div>
        <div className="flex items-center gap-1">
          <StatePill look={look} />
          <IconButton
            name="trash"
            label={`Delete ${item.display}`}
            disabled={isAway}
            onClick={onRemove}
            className="-mr-2 hover:text-bad"
          />
        </div>
      </div>
      <p className={`mt-2.5 ${item.state === 'error' ? 'text-bad' : 'text-muted'}`}>
        {item.message}
        <span className="ml-2 text-sm text-muted">
          <Ago at={item.since} />
        </span>
      </p>
      {item.fix && (
        <p className="mt-1 flex gap-2">
          <Icon name="arrow" className="mt-1 size-4 text-muted" />
          <span>{item.fix}</span>
        </p>
      )}
      {item.lastError && !item.message.includes(item.lastError) && (
        <p className="mt-2 rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
          <span className="font-medium">Last error:</span> <span className="font-mono">{item.lastError}</span>
        </p>
      )}
      {item.readAt && <Numbers item={item} rates={rates} />}
      <details className="group mt-3">
        <summary className="inline-flex items-center gap-1.5 rounded-md text-sm font-medium text-accent">
          <Icon name="chevron" className="size-4 transition-transform group-open:rotate-90" />
          Details<span className="sr-only"> of {item.display}</span>
        </summary>
        <div className="mt-3 grid gap-5 lg:grid-cols-2">
          <div className="space-y-5">
            <Settings item={item} type={type} />
            {item.conditions.length > 0 && <Conditions conditions={item.conditions} />}
          </div>
          <div className="space-y-3">
            <Code text={item.sourceYaml} label={`${item.display} as YAML`} />
            <Code text={item.kubectl} label={`kubectl command that deletes ${item.display}`} />
          </div>
        </div>
      </details>
    </article>
  )
}

function Numbers({ item, rates }: { item: DestinationView; rates?: Rates }) {
  const all = [
    ['TRACES', 'Spans', item.spans, rates?.spans],
    ['METRICS', 'Metric points', item.metricPoints, rates?.metricPoints],
    ['LOGS', 'Log records', item.logRecords, rates?.logRecords],
  ] as const
  const facts = all.filter(([signal, , total]) => item.signals.includes(signal) || total > 0)
  return (
    <div className="mt-3 flex flex-wrap items-end gap-x-8 gap-y-2 border-t border-line pt-3">
      <dl className="flex flex-1 flex-wrap gap-x-8 gap-y-2">
      {facts.map(([signal, name, total, rate]) => (
        <div key={signal}>
          <dt className="text-[0.8125rem] text-muted">{name}</dt>
          <dd className="tabular-nums">
            <span className="font-semibold">{count(total)}</span>
            {rate !== undefined && <span className="ml-1.5 text-sm text-muted">{rate > 0 && rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s</span>}
          </dd>
        </div>
      ))}
      <div>
        <dt className="text-[0.8125rem] text-muted">Waiting in the queue</dt>
        <dd className={`font-semibold tabular-nums ${item.queuedBytes > 0 && item.state === 'error' ? 'text-bad' : ''}`}>{bytes(item.queuedBytes)}</dd>
      </div>
      </dl>
      <p className="text-[0.8125rem] text-muted">
        <Ago at={item.readAt} prefix="read " />
      </p>
    </div>
  )
}

function Settings({ item, type }: { item: DestinationView; type?: DestinationTypeView }) {
  const labels = new Map(type?.fields.map((field) => [field.name, field.label]))
  const given = Object.entries(item.data)
  if (given.length === 0 && item.secretFields.length === 0) return <p className="text-muted">It has no settings.</p>
  return (
    <dl className="space-y-2.5">
      {given.map(([name, value]) => (
        <div key={name}>
          <dt className="text-[0.8125rem] text-muted">{labels.get(name) ?? name}</dt>
          <dd className="font-mono text-sm whitespace-pre-wrap">{value}</dd>
        </div>
      ))}
      {item.secretFields.map((name) => (
        <div key={name}>
          <dt className="text-[0.8125rem] text-muted">{labels.get(name) ?? name}</dt>
          <dd className="flex items-center gap-1.5 text-sm text-muted">
            <Icon name="key" className="size-4" /> kept in a Secret, never read back
          </dd>
        </div>
      ))}
    </dl>
  )
}

function Conditions({ conditions }: { conditions: readonly ConditionView[] }) {
  return (
    <ul className="space-y-2">
      {conditions.map((said) => {
        const tone = said.status === 'True' ? 'ok' : said.status === 'False' ? 'bad' : 'wait'
        return (
          <li key={said.type} className="flex gap-2.5">
            <Icon name={tone === 'ok' ? 'check' : tone === 'bad' ? 'cross' : 'clock'} className={`mt-0.5 size-4 ${TEXT[tone]}`} />
            <div className="min-w-0 text-sm">
              <p>
                <span className="font-medium">{LINKS[said.type] ?? said.type}</span>{' '}
                <span className="text-muted">
                  {words(said.reason)} <Ago at={said.since} />
                </span>
              </p>
              <p className="text-muted">{said.message}</p>
            </div>
          </li>
        )
      })}
    </ul>
  )
}
