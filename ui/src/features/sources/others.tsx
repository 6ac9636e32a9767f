'use client'
/** Namespaces beside the list: those in which nothing runs yet, and those that are left alone whatever anybody asks. */
import type { ReactNode } from 'react'
import { Icon } from '@/components/icons'
import { Switch } from '@/components/switch'
import type { NamespaceView } from '@/lib/api.gen'
import { plural } from '@/lib/format'
import { namespaceId, type Flip } from './flip'

export const AWAY = 'odigos-cp does not answer, so nothing can be changed now'

interface SwitchProps {
  namespace: NamespaceView
  isAway: boolean
  onFlip: (flip: Flip) => void
}

export function NamespaceSwitch({ namespace, isAway, onFlip }: SwitchProps) {
  const isLeaving = namespace.terminating && !namespace.instrumented
  return (
    <Switch
      on={namespace.instrumented}
      label={`Instrument all of namespace ${namespace.name}`}
      blocked={isAway ? AWAY : isLeaving ? 'it is being deleted' : ''}
      onFlip={(on) => onFlip({ id: namespaceId(namespace.name), on })}
    />
  )
}

/** They can be chosen before anything is in them. */
export function EmptyNamespaces({ namespaces, isAway, onFlip }: Omit<SwitchProps, 'namespace'> & { namespaces: readonly NamespaceView[] }) {
  const empty = namespaces.filter((namespace) => !namespace.ignored && namespace.applications === 0)
  if (empty.length === 0) return null
  return (
    <Aside title={plural(empty.length, 'namespace has no applications yet', 'namespaces have no applications yet')}>
      <p className="text-muted">What comes to a namespace that is switched on is instrumented by itself.</p>
      <ul className="card mt-2 max-w-xl divide-y divide-line">
        {empty.map((namespace) => (
          <li key={namespace.name} className="flex items-center gap-3 px-4 py-2.5">
            <span className="min-w-0 flex-1 font-medium break-all">{namespace.name}</span>
            {namespace.terminating && <span className="text-warn">Being deleted</span>}
            <NamespaceSwitch namespace={namespace} isAway={isAway} onFlip={onFlip} />
          </li>
        ))}
      </ul>
    </Aside>
  )
}

export function NeverInstrumented({ namespaces }: { namespaces: readonly NamespaceView[] }) {
  const ignored = namespaces.filter((namespace) => namespace.ignored)
  if (ignored.length === 0) return null
  return (
    <Aside title={plural(ignored.length, 'namespace is never instrumented', 'namespaces are never instrumented')}>
      <p className="text-muted">
        A fault there would break the cluster, or the cure. Others can be left out by <code className="font-mono">ignoredNamespaces</code> of the
        OdigosConfiguration <code className="font-mono">odigos-config</code>.
      </p>
      <ul className="mt-2 flex flex-wrap gap-1.5">
        {ignored.map((namespace) => (
          <li key={namespace.name} className="inline-flex items-center gap-1.5 rounded-md bg-sunken px-2 py-0.5">
            <Icon name="lock" className="size-3.5 text-muted" />
            <span>{namespace.name}</span>
            {namespace.applications > 0 && <span className="text-muted">{plural(namespace.applications, 'application')}</span>}
          </li>
        ))}
      </ul>
    </Aside>
  )
}

function Aside({ title, children }: { title: string; children: ReactNode }) {
  return (
    <details className="group">
      <summary className="inline-flex items-center gap-1.5 rounded-md py-1 text-muted hover:text-text">
        <Icon name="chevron" className="size-4 transition-transform group-open:rotate-90" />
        {title}
      </summary>
      <div className="mt-1.5 mb-3 pl-5.5">{children}</div>
    </details>
  )
}
