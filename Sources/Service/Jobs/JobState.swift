/// Where a job is between submission and deletion.
package enum JobState: String, CaseIterable, Codable, Sendable {
    /// Waits for its turn, perhaps with steps already done.
    case queued
    case running
    /// Waits until it is resumed; its steps are kept.
    case paused
    case done
    case failed
    case cancelled

    /// Whether nothing more happens to it.
    package var isFinished: Bool {
        switch self {
        case .queued, .running, .paused: false
        case .done, .failed, .cancelled: true
        }
    }
}

/// What a person asks of a job. Pure: what it does to each state.
package enum JobRequestedChange: String, Codable, CaseIterable, Sendable {
    case cancel
    case pause
    case resume

    /// What the change does.
    package enum Effect: Equatable, Sendable {
        /// The job is in this state at once.
        case becomes(JobState)
        /// Its render is stopped first, and the state follows.
        case stopsRender(then: JobState)
        /// It is as asked already.
        case none
        /// The state does not allow it.
        case refused(String)
    }

    /// - Parameter state: of the job
    /// - Returns: what happens
    package func effect(on state: JobState) -> Effect {
        switch (self, state) {
        case (.cancel, .queued), (.cancel, .paused): .becomes(.cancelled)
        case (.cancel, .running): .stopsRender(then: .cancelled)
        case (.cancel, .cancelled), (.pause, .paused), (.resume, .queued), (.resume, .running):
            .none
        case (.pause, .queued): .becomes(.paused)
        case (.pause, .running): .stopsRender(then: .paused)
        case (.resume, .paused): .becomes(.queued)
        case (_, .done): .refused("it is done")
        case (_, .failed): .refused("it has failed")
        case (_, .cancelled): .refused("it was cancelled")
        }
    }
}
