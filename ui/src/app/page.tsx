import { OverviewPage } from '@/features/overview/page'

export default function Page() {
  return <OverviewPage />
}
