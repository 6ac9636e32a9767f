'use client'
/** What a page says when it has no data: that it comes, that there is none, or that it cannot be had and why. */
import type { ReactNode } from 'react'
import type { ProblemView } from '@/lib/api.gen'
import { ApiProblem, problemOf } from '@/lib/api'
import { useMeta } from '@/lib/queries'
import { Icon, type IconName } from './icons'

/** Shown only when the answer takes longer than a blink. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" className="animate-late space-y-2">
      <span className="sr-only">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="h-14 rounded-xl border border-line bg-surface" />
      ))}
    </div>
  )
}

export function Problem({ problem, title }: { problem: ProblemView; title?: string }) {
  return (
    <div role="alert" className="flex gap-3 rounded-xl bg-bad-soft p-4 text-bad">
      <Icon name="alert" className="mt-0.5 size-5" />
      <div className="min-w-0">
        {title && <p className="font-semibold">{title}</p>}
        <p>{problem.detail}</p>
        {problem.fix && <p className="mt-1 text-text">{problem.fix}</p>}
      </div>
    </div>
  )
}

interface Reading {
  isPending: boolean
  failureReason: unknown
  error: unknown
  data: unknown
}

/** Stands in for a part of a page until its data is there; a failed part does not take the page with it. */
export function Until({ query, children, rows }: { query: Reading; children: ReactNode; rows?: number }) {
  if (query.data !== undefined) return children
  if (query.error) return <Problem problem={problemOf(query.error)} />
  if (query.failureReason instanceof ApiProblem && query.failureReason.isSyncing) return <Syncing />
  return <Skeleton rows={rows} />
}

function Syncing() {
  const meta = useMeta()
  const known = meta.data ? `${meta.data.syncedKinds} of ${meta.data.kinds} kinds of objects are known` : 'this takes a few seconds'
  return (
    <div role="status" className="card flex items-center gap-3 p-6">
      <Icon name="turning" className="size-5 animate-turn text-wait" />
      <p>
        Reading the cluster: {known}. <span className="text-muted">The page goes on by itself.</span>
      </p>
    </div>
  )
}

interface EmptyProps {
  icon: IconName
  title: string
  children?: ReactNode
  action?: ReactNode
  /** It is all that the page has to say. */
  isPage?: boolean
}

export function Empty({ icon, title, children, action, isPage }: EmptyProps) {
  const Heading = isPage ? 'h1' : 'h2'
  return (
    <div className="card flex flex-col items-center px-6 py-14 text-center">
      <span className="grid size-12 place-items-center rounded-2xl bg-accent-soft text-accent">
        <Icon name={icon} className="size-6" />
      </span>
      <Heading className="mt-4 text-lg font-semibold">{title}</Heading>
      {children && <div className="mt-1.5 max-w-lg text-muted">{children}</div>}
      {action && <div className="mt-5">{action}</div>}
    </div>
  )
}
