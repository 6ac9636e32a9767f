'use client'
/** One application: where it stands and why, how its language is known, and the objects behind it. */
import { useSearchParams } from 'next/navigation'
import { Suspense, useEffect } from 'react'
import { ButtonLink } from '@/components/button'
import { Code } from '@/components/code'
import { Empty, Problem, Skeleton } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { Confidence, LanguageBadge } from '@/components/language'
import { Link } from '@/components/link'
import { Section } from '@/components/page'
import { SOFT, State, StatePill, TEXT } from '@/components/state'
import { Switch } from '@/components/switch'
import { Ago } from '@/components/time'
import { ApiProblem, problemOf } from '@/lib/api'
import type { ApplicationDetailView, ApplicationView, ConditionView, ContainerView } from '@/lib/api.gen'
import { capital, plural, words } from '@/lib/format'
import { useConnection, useSource } from '@/lib/queries'
import { APPLICATION, because, language, linkLooks, LINKS, type Look } from '@/lib/states'
import { useFlip } from './flip'

export function SourcePage() {
  return (
    <Suspense fallback={<Skeleton />}>
      <ById />
    </Suspense>
  )
}

function ById() {
  const id = useSearchParams().get('id') ?? ''
  const query = useSource(id)
  const name = query.data?.application.name
  useEffect(() => {
    if (name) document.title = `${name} · odigos-cp`
  }, [name])
  const isGone = id === '' || (query.error instanceof ApiProblem && query.error.isMissing)
  if (isGone) {
    return (
      <Empty isPage icon="search" title="There is no such application" action={<ButtonLink href="/sources/">All applications</ButtonLink>}>
        {id ? `${id} is not in the cluster. It was probably deleted.` : 'The address names none.'}
      </Empty>
    )
  }
  if (query.data) return <Detail view={query.data} />
  return query.error ? <Problem problem={problemOf(query.error)} /> : <Skeleton />
}

function Detail({ view }: { view: ApplicationDetailView }) {
  const { application } = view
  const look = APPLICATION[application.state]
  const flip = useFlip()
  const isAway = useConnection().phase === 'lost'
  return (
    <>
      <nav aria-label="Where you are" className="mb-3 flex flex-wrap items-center gap-1.5 text-sm text-muted">
        <Link href="/sources/" className="rounded hover:text-text hover:underline">
          Applications
        </Link>
        <Icon name="chevron" className="size-3.5" />
        <Link href={`/sources/?q=${encodeURIComponent(`ns:${application.namespace}`)}`} className="rounded hover:text-text hover:underline">
          {application.namespace}
        </Link>
      </nav>
      <div className="mb-6 flex flex-wrap items-start justify-between gap-x-6 gap-y-4">
        <div className="min-w-0 flex-1 basis-72">
          <h1 className="text-2xl font-semibold tracking-tight">{application.name}</h1>
          <p className="mt-1 text-muted">
            {application.kind} · {application.podsReady} of {plural(application.podsWanted, 'pod')} ready
            {application.collector && ` · sends to ${application.collector}`}
          </p>
        </div>
        <div className="card flex items-center gap-3 px-4 py-3">
          <div className="text-sm">
            <p className="font-medium">{application.wanted ? 'Asked for' : 'Not asked for'}</p>
            <p className="text-muted">{wantedBy(application)}</p>
          </div>
          <Switch
            on={application.wanted}
            label={`Instrument ${application.name}`}
            blocked={isAway ? 'odigos-cp does not answer, so nothing can be changed now' : ''}
            onFlip={(on) => flip.ask({ id: application.id, on })}
          />
        </div>
      </div>

      <div className={`mb-8 rounded-xl px-5 py-4 ${SOFT[look.tone]}`} data-state={application.state}>
        <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <State look={look} className="text-base font-semibold" />
          <span className="text-sm">
            {because(look, application.reason)} <Ago at={application.since} />
          </span>
        </p>
        <p className="mt-1 text-text">{application.message}</p>
        {application.fix && (
          <p className="mt-2 flex gap-2 text-text">
            <Icon name="arrow" className="mt-1 size-4" />
            <span>{application.fix}</span>
          </p>
        )}
        {application.reason === 'NoDestination' && (
          <ButtonLink kind="primary" size="small" icon="plus" href="/destinations/edit/" className="mt-3">
            Add a destination
          </ButtonLink>
        )}
      </div>

      <div className="grid gap-8 lg:grid-cols-2">
        <Section title="Step by step">
          {view.chain.length > 0 ? (
            <Chain chain={view.chain} open={look} />
          ) : (
            <p className="card p-5 text-muted">
              Nobody has asked for this application, so odigos-cp has left it alone. When it is asked for, each step shows here.
            </p>
          )}
        </Section>
        <Section title={view.containers.length > 1 ? 'Containers' : 'Container'}>
          <div className="space-y-3">
            {view.containers.map((container) => (
              <Container key={container.name} container={container} isOnly={view.containers.length === 1} />
            ))}
          </div>
        </Section>
      </div>

      <div className="mt-8 grid gap-8 lg:grid-cols-2">
        <Section title={application.wantedBy ? 'The Source that decides' : 'The Source that the switch would write'}>
          <Code text={view.sourceYaml} label="Source as YAML" />
        </Section>
        <Section title={application.wanted ? 'Take it back with kubectl' : 'Instrument it with kubectl'}>
          <Code text={view.kubectl || 'Another Source decides; see above.'} label="kubectl command" />
        </Section>
      </div>
      {flip.dialog}
    </>
  )
}

function wantedBy(application: ApplicationView): string {
  if (application.wantedBy) return `by the Source ${application.wantedBy}`
  return application.wanted ? 'by the mode of the configuration' : 'no Source names it'
}

function Chain({ chain, open }: { chain: readonly ConditionView[]; open: Look }) {
  const looks = linkLooks(chain, open)
  return (
    <ol className="card px-5 py-4">
      {chain.map((link, index) => {
        const look = looks[index]!
        const isLater = look.word === 'Later'
        return (
          <li key={link.type} className="relative flex gap-3 pb-5 last:pb-0">
            {index < chain.length - 1 && <span aria-hidden="true" className="absolute top-7 bottom-0 left-2.5 w-px bg-line" />}
            <span className={TEXT[look.tone]}>
              <Icon name={look.icon} className="mt-0.5 size-5" />
            </span>
            <div className="min-w-0 flex-1">
              <p className="flex flex-wrap items-baseline gap-x-2">
                <span className={isLater ? 'text-muted' : 'font-medium'}>{LINKS[link.type] ?? link.type}</span>
                <span className="sr-only">: {look.word}.</span>
                <span className="ml-auto text-[0.8125rem] text-muted">
                  <Ago at={link.since} />
                </span>
              </p>
              {!(isLater && !link.since) && <p className="text-[0.9375rem] text-muted">{link.message}</p>}
              <p className="mt-0.5 font-mono text-xs text-muted">
                {link.type}={link.status} {link.reason}
              </p>
            </div>
          </li>
        )
      })}
    </ol>
  )
}

function Container({ container, isOnly }: { container: ContainerView; isOnly: boolean }) {
  const isDisputed = container.evidence.some((piece) => piece.says !== container.language)
  const isRefused = container.method === 'none' && container.reason !== ''
  return (
    <article className="card px-5 py-4">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <h3 className="font-mono text-sm font-medium">{container.name}</h3>
        {container.language ? (
          <LanguageBadge name={container.language} version={container.version} />
        ) : (
          <span className="text-sm text-muted">Language not known yet</span>
        )}
        <span className="ml-auto text-sm">
          <Confidence container={container} />
        </span>
      </div>
      {container.agent && (
        <p className="mt-2 flex items-center gap-2">
          <Icon name="check" className="size-4 text-ok" />
          Agent <code className="font-mono text-sm">{container.agent}</code>
        </p>
      )}
      {isRefused && (
        <div className="mt-2.5">
          <StatePill look={{ word: capital(words(container.reason)), tone: 'warn', icon: 'barred' }} />
        </div>
      )}
      {container.message && container.reason !== 'Enabled' && <p className="mt-2 text-muted">{container.message}</p>}
      {container.otherAgents.length > 0 && (
        <p className="mt-2 flex gap-2 text-warn">
          <Icon name="alert" className="mt-1 size-4" />
          <span>Carries another agent already: {container.otherAgents.join(', ')}</span>
        </p>
      )}
      {container.evidence.length > 0 && (
        <details className="group mt-3" open={isOnly}>
          <summary className="inline-flex items-center gap-1.5 rounded-md text-sm font-medium text-accent">
            <Icon name="chevron" className="size-4 transition-transform group-open:rotate-90" />
            {plural(container.evidence.length, 'piece')} of evidence
          </summary>
          <div className="mt-2 overflow-x-auto" tabIndex={0} role="region" aria-label={`Evidence for ${container.name}`}>
            <table className="w-full text-left text-sm">
              <thead className="text-[0.8125rem] text-muted">
                <tr>
                  <th className="py-1.5 pr-4 font-medium">Rule</th>
                  <th className="py-1.5 pr-4 font-medium">Saw</th>
                  {isDisputed && <th className="py-1.5 pr-4 font-medium">Says</th>}
                  <th className="py-1.5 text-right font-medium">Weight</th>
                </tr>
              </thead>
              <tbody>
                {container.evidence.map((piece, index) => (
                  <tr key={index} className="border-t border-line align-top">
                    <td className="min-w-28 py-2 pr-4">{piece.rule.replaceAll('-', ' ')}</td>
                    <td className="min-w-40 py-2 pr-4 font-mono text-[0.8125rem] break-all">{piece.saw}</td>
                    {isDisputed && <td className="py-2 pr-4 whitespace-nowrap">{language(piece.says)}</td>}
                    <td className="py-2 text-right tabular-nums">{piece.weight}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </article>
  )
}
