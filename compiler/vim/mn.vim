autocmd BufNewFile,BufRead *.mn setfiletype mn
