" Prints each run of text of one colour, with its group.
for number in range(1, line('$'))
  let line = getline(number)
  let [run, before] = ['', '']
  for column in range(1, strlen(line) + 1)
    let group = column > strlen(line) ? '' : synIDattr(synID(number, column, 1), 'name')
    if group !=# before
      if before !=# '' | call writefile([number . ' ' . before . ': ' . run], $GROUPS, 'a') | endif
      let [run, before] = ['', group]
    endif
    let run .= line[column - 1]
  endfor
endfor
qall!
