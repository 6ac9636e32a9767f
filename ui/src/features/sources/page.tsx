'use client'
import { useSearchParams } from 'next/navigation'
import { Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { Button, ButtonLink } from '@/components/button'
import { Empty, Skeleton, Until } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { PageHead } from '@/components/page'
import type { ApplicationsView } from '@/lib/api.gen'
import { matcher } from '@/lib/filter'
import { count, plural } from '@/lib/format'
import { useConnection, useSources } from '@/lib/queries'
import { APPLICATION, APPLICATION_STATES, type ApplicationState } from '@/lib/states'
import { TEXT } from '@/components/state'
import { SEARCH_ID } from '@/shell/keys'
import { useFlip, useHasDestination } from './flip'
import { groupsOf, useOpen } from './groups'
import { SourceList } from './list'
import { EmptyNamespaces, NeverInstrumented } from './others'

export function SourcesPage() {
  const query = useSources()
  return (
    <>
      <PageHead title="Applications" sentence={query.data?.summary} />
      <Until query={query} rows={8}>
        <Suspense fallback={<Skeleton />}>{query.data && <Sources view={query.data} />}</Suspense>
      </Until>
    </>
  )
}

interface Filter {
  text: string
  state: ApplicationState | ''
}

/** The filter stands in the URL, so that it can be shared, reloaded and gone back to. */
function useFilter(): [Filter, (change: Partial<Filter>) => void] {
  const params = useSearchParams()
  const said = params.get('state') ?? ''
  const filter: Filter = { text: params.get('q') ?? '', state: said in APPLICATION ? (said as ApplicationState) : '' }
  function change(next: Partial<Filter>): void {
    const { text, state } = { ...filter, ...next }
    const wanted = new URLSearchParams()
    if (text) wanted.set('q', text)
    if (state) wanted.set('state', state)
    const query = wanted.toString()
    window.history.replaceState(null, '', query ? `?${query}` : location.pathname)
  }
  return [filter, change]
}

function Sources({ view }: { view: ApplicationsView }) {
  const [filter, setFilter] = useFilter()
  const params = useSearchParams()
  const search = useRef<HTMLInputElement>(null)
  const [typed, setTyped] = useState(filter.text)
  const text = useDeferredValue(typed)
  const flip = useFlip()
  const isAway = useConnection().phase === 'lost'
  const hasDestination = useHasDestination()
  const wantsSearch = params.get('find') === '1'
  useEffect(() => {
    if (wantsSearch) search.current?.focus()
  }, [wantsSearch])

  const isFiltered = text.trim() !== '' || filter.state !== ''
  const groups = useMemo(() => {
    const matches = matcher(text)
    return groupsOf(view, (row) => (!filter.state || row.state === filter.state) && matches(row))
  }, [view, text, filter.state])
  const open = useOpen(view.items.length, isFiltered)
  const isAllOpen = groups.every((group) => open.is(group))
  const shown = groups.reduce((sum, group) => sum + group.items.length, 0)

  function clear(): void {
    setTyped('')
    setFilter({ text: '', state: '' })
    search.current?.focus()
  }

  const others = (
    <div className="mt-6 space-y-2 text-sm">
      <EmptyNamespaces namespaces={view.namespaces} isAway={isAway} onFlip={flip.ask} />
      <NeverInstrumented namespaces={view.namespaces} />
      {flip.dialog}
    </div>
  )
  if (view.items.length === 0) {
    return (
      <>
        <Empty
          icon="apps"
          title="No applications yet"
          action={
            hasDestination === false && (
              <ButtonLink kind="primary" icon="plus" href="/destinations/edit/">
                Add a destination meanwhile
              </ButtonLink>
            )
          }
        >
          Deployments, StatefulSets and DaemonSets show here by themselves, as soon as they exist.
        </Empty>
        {others}
      </>
    )
  }
  return (
    <>
      {hasDestination === false && view.items.some((row) => row.wanted) && <NoDestination />}
      <div className="mb-4 flex flex-wrap items-center gap-3">
        <label className="relative min-w-0 flex-1 basis-72">
          <span className="sr-only">Search applications</span>
          <Icon name="search" className="pointer-events-none absolute top-1/2 left-3 size-4 -translate-y-1/2 text-muted" />
          <input
            ref={search}
            id={SEARCH_ID}
            type="search"
            value={typed}
            autoComplete="off"
            spellCheck={false}
            placeholder="Name, namespace, language, reason"
            onChange={(event) => {
              setTyped(event.target.value)
              setFilter({ text: event.target.value })
            }}
            onKeyDown={(event) => {
              if (event.key === 'Escape') clear()
            }}
            className="h-10 w-full rounded-lg border border-edge bg-surface pr-10 pl-9 [&::-webkit-search-cancel-button]:hidden"
          />
          {typed ? (
            <button
              type="button"
              aria-label="Clear the search"
              onClick={clear}
              className="absolute top-1/2 right-1.5 grid size-7 -translate-y-1/2 place-items-center rounded-md text-muted hover:bg-sunken"
            >
              <Icon name="close" />
            </button>
          ) : (
            <kbd className="pointer-events-none absolute top-1/2 right-2.5 -translate-y-1/2 rounded border border-line bg-sunken px-1.5 font-mono text-xs text-muted max-sm:hidden">
              /
            </kbd>
          )}
        </label>
        <StateFilter view={view} chosen={filter.state} onChoose={(state) => setFilter({ state })} />
      </div>
      {groups.length === 0 ? (
        <Empty icon="funnel" title="Nothing matches" action={<Button onClick={clear}>Show all {count(view.items.length)}</Button>}>
          None of the {plural(view.items.length, 'application')} fits what is searched for.
        </Empty>
      ) : (
        <>
          <div className="mb-2 flex items-center justify-between text-sm text-muted">
            <p role="status">
              {isFiltered
                ? `${count(shown)} of ${plural(view.items.length, 'application')}`
                : `${plural(view.items.length, 'application')} in ${plural(groups.length, 'namespace')}`}
            </p>
            {groups.length > 1 && (
              <button
                type="button"
                className="rounded-md px-2 py-1 font-medium hover:bg-sunken hover:text-text"
                onClick={() => open.setAll(groups, !isAllOpen)}
              >
                {isAllOpen ? 'Close all' : 'Open all'}
              </button>
            )}
          </div>
          <SourceList groups={groups} open={open} isFiltered={isFiltered} isAway={isAway} onFlip={flip.ask} />
        </>
      )}
      {isFiltered ? flip.dialog : others}
    </>
  )
}

function StateFilter({
  view,
  chosen,
  onChoose,
}: {
  view: ApplicationsView
  chosen: ApplicationState | ''
  onChoose: (state: ApplicationState | '') => void
}) {
  const there = APPLICATION_STATES.filter((state) => view.counts[state] || state === chosen)
  if (there.length < 2 && !chosen) return null
  return (
    <div role="group" aria-label="Show only" className="flex flex-wrap gap-1.5">
      {there.map((state) => {
        const look = APPLICATION[state]
        const isChosen = state === chosen
        return (
          <button
            key={state}
            type="button"
            aria-pressed={isChosen}
            onClick={() => onChoose(isChosen ? '' : state)}
            className={
              'inline-flex h-9 items-center gap-1.5 rounded-lg border px-2.5 text-sm font-medium transition-colors ' +
              (isChosen ? 'border-accent bg-accent-soft text-text' : 'border-line bg-surface hover:border-edge')
            }
          >
            <Icon name={look.icon} className={`size-4 ${TEXT[look.tone]}`} />
            {look.word}
            <span className="text-muted tabular-nums">{count(view.counts[state] ?? 0)}</span>
          </button>
        )
      })}
    </div>
  )
}

function NoDestination() {
  return (
    <div className="mb-4 flex flex-wrap items-center gap-x-4 gap-y-2 rounded-xl bg-warn-soft px-4 py-3 text-warn">
      <Icon name="alert" className="size-5" />
      <p className="min-w-0 flex-1 basis-64">
        There is nowhere to send to yet. <span className="text-text">The chosen applications wait, unchanged, for a destination.</span>
      </p>
      <ButtonLink kind="primary" size="small" icon="plus" href="/destinations/edit/">
        Add a destination
      </ButtonLink>
    </div>
  )
}
