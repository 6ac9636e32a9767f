'use client'
/** The list by namespace: which groups there are, and which are open. */
import { useCallback, useSyncExternalStore } from 'react'
import type { ApplicationsView, ApplicationView, NamespaceView } from '@/lib/api.gen'
import type { Matches } from '@/lib/filter'

export interface Group {
  namespace: NamespaceView
  items: readonly ApplicationView[]
}

/** Above this, namespaces start closed: a screen full of them says more than one of the first's applications. */
const MANY = 80

/** The namespaces in which something matches. */
export function groupsOf(view: ApplicationsView, matches: Matches): Group[] {
  const items = new Map<string, ApplicationView[]>()
  for (const row of view.items) {
    if (!matches(row)) continue
    const found = items.get(row.namespace)
    if (found) found.push(row)
    else items.set(row.namespace, [row])
  }
  return view.namespaces
    .map((namespace): Group => ({ namespace, items: items.get(namespace.name) ?? [] }))
    .filter((group) => group.items.length > 0)
}

/** What the person opened or closed, as long as the tab lives. */
let choices: ReadonlyMap<string, boolean> = new Map()
const watchers = new Set<() => void>()

function choose(changes: Iterable<[string, boolean]>): void {
  choices = new Map([...choices, ...changes])
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export interface Open {
  is: (group: Group) => boolean
  set: (group: Group, open: boolean) => void
  setAll: (groups: readonly Group[], open: boolean) => void
}

export function useOpen(total: number, isFiltered: boolean): Open {
  const chosen = useSyncExternalStore(watch, () => choices, () => choices)
  const key = useCallback((group: Group) => `${isFiltered ? 'found' : 'all'} ${group.namespace.name}`, [isFiltered])
  const usual = isFiltered || total <= MANY
  return {
    is: (group) => chosen.get(key(group)) ?? usual,
    set: (group, open) => choose([[key(group), open]]),
    setAll: (groups, open) => choose(groups.map((group) => [key(group), open] as [string, boolean])),
  }
}
