'use client'
/** The languages of an application; a click says how that is known. */
import { useQuery } from '@tanstack/react-query'
import { api } from '@/lib/api'
import type { ApplicationView, ContainerView, EvidenceView } from '@/lib/api.gen'
import { language } from '@/lib/states'
import { Problem } from './feedback'
import { Popover } from './popover'
import { problemOf } from '@/lib/api'

const BADGE = 'inline-flex max-w-full items-center rounded-md border border-line bg-surface px-2 py-0.5 text-[0.8125rem] font-medium'

export function Languages({ application }: { application: ApplicationView }) {
  if (application.languages.length === 0) return null
  const text = application.languages.map(language).join(', ')
  return (
    <Popover
      label={`How the language of ${application.name} is known`}
      trigger={
        <button
          type="button"
          title="How this is known"
          aria-label={`${text}: how is this known?`}
          className={`${BADGE} relative z-10 hover:border-edge hover:bg-hover`}
        >
          <span className="truncate">{text}</span>
        </button>
      }
    >
      <HowKnown id={application.id} />
    </Popover>
  )
}

export function LanguageBadge({ name, version }: { name: string; version: string }) {
  return (
    <span className={BADGE}>
      {language(name)}
      {version && <span className="ml-1.5 font-normal text-muted">{version}</span>}
    </span>
  )
}

function HowKnown({ id }: { id: string }) {
  const query = useQuery({ queryKey: ['sources', id], queryFn: () => api.source(id) })
  if (query.error) return <Problem problem={problemOf(query.error)} />
  if (!query.data) return <p className="animate-late text-muted">Loading</p>
  const known = query.data.containers.filter((container) => container.language)
  return (
    <div className="space-y-4">
      {known.map((container) => (
        <div key={container.name}>
          <p className="flex flex-wrap items-center gap-x-2">
            <span className="font-semibold">{language(container.language)}</span>
            <span className="text-muted">{container.version}</span>
            <Confidence container={container} />
          </p>
          <p className="text-muted">in container {container.name}, because of</p>
          <EvidenceList evidence={container.evidence.slice(0, 3)} />
        </div>
      ))}
    </div>
  )
}

export function Confidence({ container }: { container: ContainerView }) {
  if (!container.confidence) return null
  return (
    <span className="ml-auto inline-flex items-center gap-2 text-muted tabular-nums">
      <Meter value={container.confidence} />
      {container.confidence} % sure
    </span>
  )
}

/** Ten steps: a bar whose width needs no style attribute. */
function Meter({ value }: { value: number }) {
  const full = Math.round(value / 10)
  return (
    <span aria-hidden="true" className="inline-flex gap-0.5">
      {Array.from({ length: 10 }, (_, step) => (
        <span key={step} className={`h-2.5 w-1 rounded-sm ${step < full ? 'bg-accent-fill' : 'bg-line'}`} />
      ))}
    </span>
  )
}

function EvidenceList({ evidence }: { evidence: readonly EvidenceView[] }) {
  return (
    <ul className="mt-1.5 space-y-1.5">
      {evidence.map((piece, index) => (
        <li key={index} className="rounded-md bg-sunken px-2.5 py-1.5">
          <span className="block text-muted">{piece.rule.replaceAll('-', ' ')}</span>
          <code className="font-mono text-[0.8125rem]">{piece.saw}</code>
        </li>
      ))}
    </ul>
  )
}
